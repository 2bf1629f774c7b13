/*
 * A client of the decision API, of Java 17's standard library alone: copy it into your system.
 *
 * It keeps a token and renews it, gives up a call after two seconds, and sends the same application
 * again as long as no answer came. docs/how-to/connect-an-application.md has the rules.
 */

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

public final class CreditDecisions {
    private static final Duration TIMEOUT = Duration.ofSeconds(2);
    private static final Duration PATIENCE = Duration.ofSeconds(60);
    private static final double FIRST_WAIT_SECONDS =
            Double.parseDouble(System.getProperty("credit.firstWaitSeconds", "1"));
    private static final Set<Integer> SEND_AGAIN = Set.of(429, 500, 502, 503, 504);
    private static final Pattern RETRYABLE = Pattern.compile("\"retryable\"\\s*:\\s*true");
    private static final Pattern TOKEN = Pattern.compile("\"access_token\"\\s*:\\s*\"([^\"]+)\"");
    private static final Pattern EXPIRES = Pattern.compile("\"expires_in\"\\s*:\\s*(\\d+)");

    private final HttpClient http = HttpClient.newBuilder().connectTimeout(TIMEOUT).build();
    private final String api;
    private final String tokenUrl;
    private final String basic;
    private String token = "";
    private Instant goodUntil = Instant.MIN;

    public CreditDecisions(String api, String tokenUrl, String clientId, String clientSecret) {
        this.api = api;
        this.tokenUrl = tokenUrl;
        String credentials = clientId + ":" + clientSecret;
        this.basic = "Basic " + Base64.getEncoder().encodeToString(credentials.getBytes());
    }

    /** Returns the decision as JSON. The application_id stays the same when you call again. */
    public String decide(String application) throws IOException, InterruptedException {
        Instant giveUp = Instant.now().plus(PATIENCE);
        String referral = null;
        for (double wait = FIRST_WAIT_SECONDS; ; wait *= 2) {
            int status = 0;
            try {
                HttpResponse<String> answer = post(application, false);
                if (answer.statusCode() == 401) {
                    answer = post(application, true);
                }
                status = answer.statusCode();
                if (status == 200) {
                    referral = answer.body();
                    if (!RETRYABLE.matcher(referral).find()) {
                        return referral;
                    }
                } else if (!SEND_AGAIN.contains(status)) {
                    throw new IllegalArgumentException(status + ": " + answer.body());
                }
            } catch (IOException noAnswer) {
                // Sent again below: the id makes sure that it is decided once.
            }
            if (Instant.now().plusMillis((long) (wait * 1000)).isAfter(giveUp)) {
                if (referral != null) {
                    return referral;
                }
                throw new IOException("no decision within " + PATIENCE + "; last status " + status);
            }
            Thread.sleep((long) (wait * ThreadLocalRandom.current().nextDouble(500, 1500)));
        }
    }

    private HttpResponse<String> post(String body, boolean renew)
            throws IOException, InterruptedException {
        return send(api + "/v1/decisions", "Bearer " + bearer(renew), "application/json", body);
    }

    private synchronized String bearer(boolean renew) throws IOException, InterruptedException {
        if (renew || Instant.now().isAfter(goodUntil)) {
            Instant askedAt = Instant.now();
            String form = "grant_type=client_credentials&scope=decisions%2Fdecide";
            HttpResponse<String> answer =
                    send(tokenUrl, basic, "application/x-www-form-urlencoded", form);
            Matcher found = TOKEN.matcher(answer.body());
            Matcher expires = EXPIRES.matcher(answer.body());
            if (answer.statusCode() != 200 || !found.find() || !expires.find()) {
                throw new IOException("no token: " + answer.statusCode());
            }
            token = found.group(1);
            goodUntil = askedAt.plusSeconds(Long.parseLong(expires.group(1)) - 60);
        }
        return token;
    }

    private HttpResponse<String> send(String url, String authorization, String type, String body)
            throws IOException, InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url))
                .timeout(TIMEOUT)
                .header("Authorization", authorization)
                .header("Content-Type", type)
                .POST(HttpRequest.BodyPublishers.ofString(body))
                .build();
        return http.send(request, HttpResponse.BodyHandlers.ofString());
    }
}
