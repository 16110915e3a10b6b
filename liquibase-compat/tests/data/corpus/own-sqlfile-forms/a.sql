CREATE TABLE t (id int, s text);
-- comment; with semicolon
INSERT INTO t VALUES (1, 'one');
