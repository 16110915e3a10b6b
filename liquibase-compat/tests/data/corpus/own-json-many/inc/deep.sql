--liquibase formatted sql
--changeset own:deep context:a labels:z
CREATE TABLE deep (id int);
--rollback DROP TABLE deep;
