--liquibase formatted sql logicalFilePath:log/x.xml
--changeset a:1 dbms:h2
select 1;
--changeset a:2 context:no
select 1;
--changeset a:3
select 1;
--changeset a:4 dbms:h2 context:no logicalFilePath:zz.xml
select 1;
