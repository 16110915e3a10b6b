insert into t values ('3é');
