import static io.trino.testing.TestingSession.testSessionBuilder;

import com.fasterxml.jackson.databind.ObjectMapper;
import io.trino.plugin.memory.MemoryConnectorFactory;
import io.trino.testing.LocalQueryRunner;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/** Runs the statements of a file, each behind a line with a semicolon, in a Trino of its own; prints the rows of each query as JSON. */
public class Trino {
    public static void main(String[] args) throws Exception {
        var session = testSessionBuilder().setCatalog("memory").setSchema("default").build();
        try (var runner = LocalQueryRunner.create(session)) {
            runner.createCatalog("memory", new MemoryConnectorFactory(), Map.of("memory.max-data-per-node", "512MB"));
            for (String statement : Files.readString(Path.of(args[0])).split(";\n")) {
                if (statement.isBlank()) continue;
                // The runner within Trino knows no views: a table holds what the view would give.
                var result = runner.execute(statement.replace("CREATE VIEW", "CREATE TABLE"));
                List<?> rows = result.getMaterializedRows().stream().map(row -> row.getFields()).toList();
                System.out.println(new ObjectMapper().writeValueAsString(rows.stream()
                    .map(row -> ((List<?>) row).stream().map(field -> field == null ? null : field.toString()).toList()).toList()));
            }
        }
        System.exit(0);
    }
}
