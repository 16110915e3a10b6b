--liquibase formatted sql

--changeset own:ran contextFilter:yes labels:y
create table ran (x int);
--rollback drop table ran;

--changeset own:all contextFilter:no labels:x dbms:oracle ignore:true
create table aall (x int);
--rollback drop table aall;

--changeset own:dbms-label labels:x dbms:oracle
create table dl (x int);
--rollback drop table dl;

--changeset own:context-label contextFilter:no labels:x
create table cl (x int);
--rollback drop table cl;

--changeset own:label labels:x
create table l (x int);
--rollback drop table l;

--changeset own:ignore-context contextFilter:no ignore:true
create table ic (x int);
--rollback drop table ic;

--changeset own:ignore ignore:true
create table ig (x int);
--rollback drop table ig;

--changeset own:free
create table free (x int);
--rollback drop table free;

