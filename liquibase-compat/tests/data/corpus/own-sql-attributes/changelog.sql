--liquibase formatted sql logicalFilePath:logical/own.sql

--changeset own:1 labels:L1,L2 context:"test or prod"
CREATE TABLE t (id int PRIMARY KEY, s text);
--rollback DROP TABLE t;

--changeset own:2 splitStatements:false stripComments:false
--comment: two at once
INSERT INTO t VALUES (1, 'a;b'); -- stays
INSERT INTO t VALUES (2, 'c');
--rollback DELETE FROM t WHERE id = 1;
--rollback DELETE FROM t WHERE id = 2;

--changeset own:3 endDelimiter:@@
INSERT INTO t VALUES (3, 'x;y')@@
INSERT INTO t VALUES (4, 'z')@@
--rollback not required

--changeset own:4 runOnChange:true
CREATE OR REPLACE VIEW v AS SELECT id FROM t;
--rollback empty

--changeset own:5 dbms:oracle
nonsense;

--changeset own:6 dbms:postgresql,h2 runAlways:true
INSERT INTO t SELECT max(id) + 1, 'again' FROM t;

--changeset own:7 failOnError:false
INSERT INTO nowhere VALUES (1);

--changeset own:8 runInTransaction:false
CREATE INDEX CONCURRENTLY ix ON t (s);
--rollback DROP INDEX CONCURRENTLY ix;

--changeset own:9 ignore:true
nonsense;

--changeset "own with blank":"id with blank"
INSERT INTO t VALUES (100, $$dollar ' quote$$);

--changeset own:11 logicalFilePath:elsewhere.sql
/* a block comment; with semicolon */
INSERT INTO t VALUES (101, '/* no comment */ -- none');
