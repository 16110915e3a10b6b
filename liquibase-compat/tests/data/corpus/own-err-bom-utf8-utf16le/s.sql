insert into t values ('é');
