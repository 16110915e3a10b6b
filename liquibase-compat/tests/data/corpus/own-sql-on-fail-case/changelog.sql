--liquibase formatted sql
--changeset own:1
--preconditions onFail:mark_ran onError:Warn onSqlOutput:test
--precondition-sql-check expectedResult:1 select 2
create table t (a int);
--changeset own:2
create table u (a int);
