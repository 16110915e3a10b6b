import java.util.Scanner;
import liquibase.integration.commandline.LiquibaseCommandLine;

/**
 * Runs an update of the Liquibase CLI for each URL on standard input, in one Java virtual machine, and prints its seconds.
 * <pre>java -cp 'LIQUIBASE/internal/lib/*' WarmLiquibase.java CHANGELOG</pre>
 */
final class WarmLiquibase {
    public static void main(String[] arguments) {
        var output = System.out;
        var urls = new Scanner(System.in);
        while (urls.hasNextLine()) {
            String[] command = {
                "--url=" + urls.nextLine(), "--username=postgres", "--password=unused", "--changelog-file=" + arguments[0],
                "--log-level=off", "update"
            };
            long begun = System.nanoTime();
            int status = new LiquibaseCommandLine().execute(command);
            if (status != 0) {
                System.exit(status);
            }
            output.println("seconds " + (System.nanoTime() - begun) / 1e9);
            output.flush();
        }
        System.exit(0);
    }
}
