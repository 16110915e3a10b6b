--liquibase formatted sql
--property name:tab value:made
--property name:only value:pg dbms:postgresql
--property name:only value:ora dbms:oracle
--changeset own:${tab}
CREATE TABLE ${tab} (id int, note text DEFAULT '${only} ${none}');
--rollback DROP TABLE ${tab};
--changeset own:param
INSERT INTO ${tab} (id) VALUES (${number});
