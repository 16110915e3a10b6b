create table s (a int);
