--liquibase formatted sql
--changeset a:1
create table t(a int);
--changeset a:2
create table u(a int);
/* not closed
create table v(a int);
