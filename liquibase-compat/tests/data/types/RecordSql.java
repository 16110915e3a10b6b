// Prints, for each changeset of a changelog, the SQL that Liquibase generates for it on PostgreSQL, or its error.
import java.nio.file.*;
import java.util.*;
import liquibase.*;
import liquibase.change.*;
import liquibase.changelog.*;
import liquibase.database.*;
import liquibase.exception.*;
import liquibase.parser.*;
import liquibase.resource.*;
import liquibase.sql.*;
import liquibase.sqlgenerator.*;
import liquibase.statement.*;

public class RecordSql {
    public static void main(String[] args) throws Exception {
        Path file = Paths.get(args[1]).toAbsolutePath();
        ResourceAccessor files = new DirectoryResourceAccessor(file.getParent());
        Database database = DatabaseFactory.getInstance().openDatabase(args[0], "postgres", "unused", null, files);
        String name = file.getFileName().toString();
        DatabaseChangeLog log = ChangeLogParserFactory.getInstance().getParser(name, files).parse(name, new ChangeLogParameters(database), files);
        for (ChangeSet set : log.getChangeSets()) {
            String sql;
            try {
                sql = sql(set, database);
            } catch (Throwable error) {
                Throwable cause = error;
                while (cause.getCause() != null) cause = cause.getCause();
                sql = "error: " + cause.getMessage();
            }
            System.out.println(set.getId() + "\t" + sql.replace("\n", "\\n") + (args.length > 2 ? "\t" + set.generateCheckSum(ChecksumVersion.V9) : ""));
        }
        System.exit(0);
    }

    static String sql(ChangeSet set, Database database) {
        List<String> out = new ArrayList<>();
        for (Change change : set.getChanges()) {
            ValidationErrors errors = change.validate(database);
            if (errors.hasErrors()) return "invalid: " + String.join("; ", errors.getErrorMessages());
            for (SqlStatement statement : change.generateStatements(database)) {
                Sql[] sqls = SqlGeneratorFactory.getInstance().generateSql(statement, database);
                if (sqls != null) for (Sql sql : sqls) out.add(sql.toSql());
            }
        }
        return String.join("; ", out);
    }
}
