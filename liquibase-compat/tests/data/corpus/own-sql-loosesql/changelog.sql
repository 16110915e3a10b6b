--liquibase formatted sql
CREATE TABLE t(id int);
--changeset own:1
CREATE TABLE u(id int);
