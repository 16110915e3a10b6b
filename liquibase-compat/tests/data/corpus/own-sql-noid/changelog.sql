--liquibase formatted sql
--changeset own
CREATE TABLE t(id int);
