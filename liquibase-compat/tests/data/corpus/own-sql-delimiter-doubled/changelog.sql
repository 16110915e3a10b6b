--liquibase formatted sql

--changeset own:1
create table t (a int);;
insert into t values (1);;;
insert into t values (2) ; ;

--changeset own:2 endDelimiter:;
insert into t values (3);;
insert into t values (4)
;;

--changeset own:3 endDelimiter:;;
insert into t values (5);;
insert into t values (6);;

--changeset own:4 endDelimiter:/
insert into t values (7);;
/
insert into t values (8)
/

--changeset own:5 endDelimiter:go
insert into t values (9)
go
insert into t select x. a from t x
go
