--liquibase formatted sql
--changeset own: 1
CREATE TABLE t(id int);
