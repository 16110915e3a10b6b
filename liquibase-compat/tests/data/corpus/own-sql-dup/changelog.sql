--liquibase formatted sql
--changeset own:1
CREATE TABLE t(id int);
--changeset own:1
CREATE TABLE u(id int);
