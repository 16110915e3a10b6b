--liquibase formatted sql
--changeset own:ten
CREATE TABLE ten (id int);
