package peers;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;

import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.FixedKeyProcessor;
import org.apache.kafka.streams.processor.api.FixedKeyProcessorContext;
import org.apache.kafka.streams.processor.api.FixedKeyRecord;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Messages and distinct visitors per site.
 *
 * <p>A processor keeps who was seen, an entry for each visitor of a site, and says of each message whether its visitor
 * is new. An aggregation adds that up. Both stores are cached, so that a site that changes often costs one changelog
 * record and one summary a commit: both are flushed into the transaction that the commit ends.
 *
 * <p>Everything it is told is in the environment: BOOTSTRAP, INPUT, OUTPUT, GROUP, STATE, COMMIT_S.
 */
public final class Visitors {

    private static final String SEEN = "seen";
    private static final byte[] NOTHING = new byte[0];
    private static final JsonFactory JSON = new JsonFactory();

    private Visitors() { }

    public static void main(final String[] args) throws InterruptedException {
        final KafkaStreams streams = new KafkaStreams(topology(), settings());
        final CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close(Duration.ofSeconds(20));
            stopped.countDown();
        }));
        streams.start();
        stopped.await();
    }

    static Topology topology() {
        final StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(SEEN), Serdes.String(), Serdes.ByteArray())
                .withCachingEnabled());
        builder.stream(setting("INPUT"), Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .processValues(Visits::new, SEEN)
            .groupByKey(Grouped.with(Serdes.String(), Serdes.Boolean()))
            .aggregate(
                () -> Counts.NONE,
                (site, isNew, counts) -> counts.add(isNew),
                Materialized.<String, Counts, KeyValueStore<Bytes, byte[]>>as("counts")
                    .withKeySerde(Serdes.String())
                    .withValueSerde(Counts.SERDE)
                    .withCachingEnabled())
            .toStream()
            .mapValues((site, counts) -> "{\"site_id\":\"" + site + "\",\"messages\":" + counts.messages
                + ",\"visitors\":" + counts.visitors + "}")
            .to(setting("OUTPUT"), Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    static Properties settings() {
        final Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, setting("GROUP"));
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, setting("BOOTSTRAP"));
        settings.put(StreamsConfig.STATE_DIR_CONFIG, setting("STATE"));
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, Math.round(Double.parseDouble(setting("COMMIT_S")) * 1000));
        settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 512L << 20);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        // A static member with a short session: it has its tasks back soon after a crash.
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.GROUP_INSTANCE_ID_CONFIG), "visitors-0");
        settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG), 6000);
        return settings;
    }

    private static String setting(final String name) {
        final String value = System.getenv(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is not set");
        }
        return value;
    }

    /** Of each message, whether its visitor is new to the site, which is the key. */
    static final class Visits implements FixedKeyProcessor<String, byte[], Boolean> {

        private FixedKeyProcessorContext<String, Boolean> context;
        private KeyValueStore<String, byte[]> seen;

        @Override
        public void init(final FixedKeyProcessorContext<String, Boolean> context) {
            this.context = context;
            this.seen = context.getStateStore(SEEN);
        }

        @Override
        public void process(final FixedKeyRecord<String, byte[]> record) {
            final String visitor = visitor(record.value());
            if (visitor != null) {
                final String visit = record.key() + '|' + visitor;
                context.forward(record.withValue(seen.putIfAbsent(visit, NOTHING) == null));
            }
        }

        /** Who sent a message; null for any other event. What is not needed is skipped, and nothing after it is read. */
        private static String visitor(final byte[] value) {
            boolean isMessage = false;
            String from = null;
            try (JsonParser json = JSON.createParser(value)) {
                json.nextToken();
                while (json.nextToken() == JsonToken.FIELD_NAME) {
                    final String field = json.currentName();
                    json.nextToken();
                    if ("type".equals(field)) {
                        if (!"message".equals(json.getText())) {
                            return null;
                        }
                        isMessage = true;
                    } else if ("from".equals(field)) {
                        from = json.getText();
                    } else {
                        json.skipChildren();
                    }
                    if (isMessage && from != null) {
                        return from;
                    }
                }
            } catch (final IOException malformed) {
                return null;
            }
            return null;
        }
    }

    /** What a site's messages add up to. */
    record Counts(long messages, long visitors) {

        static final Counts NONE = new Counts(0, 0);
        static final Serde<Counts> SERDE = Serdes.serdeFrom(
            (topic, counts) -> counts == null
                ? null
                : ByteBuffer.allocate(16).putLong(counts.messages).putLong(counts.visitors).array(),
            (topic, bytes) -> {
                if (bytes == null) {
                    return null;
                }
                final ByteBuffer buffer = ByteBuffer.wrap(bytes);
                return new Counts(buffer.getLong(), buffer.getLong());
            });

        Counts add(final boolean isNew) {
            return new Counts(messages + 1, visitors + (isNew ? 1 : 0));
        }
    }
}
