CREATE TABLE raw_t (id int);
INSERT INTO raw_t VALUES (1);
