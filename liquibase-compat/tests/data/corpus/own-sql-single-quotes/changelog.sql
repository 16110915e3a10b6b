--liquibase formatted sql
--changeset 'a b':'c:d' labels:'x y'
select 1;
--changeset "q":1
select 1;
--changeset a b:2 3
select 1;
