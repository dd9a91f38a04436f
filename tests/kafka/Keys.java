// Shows which partitions Java clients choose for keys. It produces a message for each line of standard input with the default
// partitioner, and prints the partition of each.
//   java -cp "$(.ci/kafka classpath)" tests/kafka/Keys.java BROKERS TOPIC <keys

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.StringSerializer;

public class Keys {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> configuration = Map.of("bootstrap.servers", arguments[0], "linger.ms", 20);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = new KafkaProducer<>(configuration, new StringSerializer(), new StringSerializer());
                var keys = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String key; (key = keys.readLine()) != null; ) {
                sent.add(producer.send(new ProducerRecord<>(arguments[1], key, "")));
            }
        }
        for (var metadata : sent) {
            System.out.println(metadata.get().partition());
        }
    }
}
