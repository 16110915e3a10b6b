--liquibase formatted sql
--changeset a:1
create table more(a int);
