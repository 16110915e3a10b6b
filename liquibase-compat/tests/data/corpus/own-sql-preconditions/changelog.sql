--liquibase formatted sql

--changeset own:1
CREATE TABLE t (id int);

--changeset own:2
--preconditions onFail:MARK_RAN onError:HALT
--precondition-sql-check expectedResult:0 SELECT count(*) FROM t
INSERT INTO t VALUES (1);

--changeset own:3
--preconditions onFail:MARK_RAN
--precondition-sql-check expectedResult:"0" SELECT count(*) FROM t
INSERT INTO t VALUES (2);

--changeset own:4
--preconditions onFail:CONTINUE
--precondition-table-exists table:nope
INSERT INTO t VALUES (3);

--changeset own:5
--preconditions onFail:MARK_RAN
--precondition-table-exists table:t schema:public
INSERT INTO t VALUES (4);

--changeset own:6
--preconditions onFail:MARK_RAN
--precondition-view-exists view:nope
INSERT INTO t VALUES (5);
