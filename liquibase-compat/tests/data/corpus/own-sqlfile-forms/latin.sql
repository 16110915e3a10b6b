INSERT INTO t VALUES (4, 'Zürich');
