--liquibase formatted sql
--changeset a:1
create table t (c text);
comment on column t.c is 'é';
--rollback drop table t;
