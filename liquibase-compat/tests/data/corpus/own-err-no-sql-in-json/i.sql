--liquibase formatted sql
--changeset a:1
--changeset a:2
select 1;
