insert into t values (3); insert into t values (4);
