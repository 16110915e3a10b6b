--liquibase formatted sql

--changeset own:5 endDelimiter: dbms:postgresql
insert into t values (7); insert into t values (8);
