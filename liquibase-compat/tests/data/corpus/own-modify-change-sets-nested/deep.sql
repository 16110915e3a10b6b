--liquibase formatted sql
--changeset a:1
create table deep(a int);
create table deeper(a int);
