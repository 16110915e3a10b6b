--liquibase formatted sql logicalFilePath:log/d.sql
--changeset a:D1
select 1;
--changeset a:D2
--preconditions onFail:MARK_RAN
--precondition-sql-check expectedResult:1 select count(*) from databasechangelog where id='D1'
select 1;
