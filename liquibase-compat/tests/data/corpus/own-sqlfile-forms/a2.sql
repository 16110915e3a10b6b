/* block */
INSERT INTO t VALUES (5, 'x'); -- end
INSERT INTO t VALUES (6, 'y');
