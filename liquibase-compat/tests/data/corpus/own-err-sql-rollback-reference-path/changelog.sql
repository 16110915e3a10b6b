--liquibase formatted sql logicalFilePath:x/y.sql
--changeset own:1
select 1;
--rollback select 5;
--changeset own:2
select 2;
--rollback changesetId:1 changesetAuthor:own
