//! Access tokens that are JWTs: which count, and who their holders are.

use crate::certs::Files;
use crate::demo::demo;
use crate::issuer::{AUDIENCE, Key, NAME, claims, encode, key_set, now};
use crate::neighbor::{beside_with, exposed};
use crate::peer::{MODERN, Peer, serve};
use crate::raw::{Answer, Head};
use crate::web::Web;
use mcp_blocking::jwt::{Algorithm, Claims, Jwt};
use mcp_blocking::{Error, Json, NoArgs, Principal, Running, Server, Settings};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// A server that says who its caller is.
pub fn server(jwt: Jwt) -> Server {
    settled(Settings::new().jwt(jwt))
}

fn settled(settings: Settings) -> Server {
    demo().settings(settings).tool("whoami", "Says who calls", |ctx, NoArgs| {
        let principal = ctx.client().principal().cloned().unwrap_or_else(|| Principal::new("nobody"));
        let expiry = principal.expiry().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
        Ok(Json(json!({
            "id": principal.id(),
            "scopes": principal.scopes().map(|scopes| scopes.collect::<Vec<_>>()),
            "expiry": expiry.map(|time| time.as_secs()),
            "email": principal.user::<Claims>().and_then(|claims| claims.text("email")),
        })))
    })
}

/// Shows a token with a handshake: what is answered to it.
pub fn knock(running: &Running, token: &str) -> Answer {
    Head::new(running.addr()).add("Authorization", &format!("Bearer {token}")).ask(running.addr())
}

/// The same with a POST.
fn post(running: &Running, token: &str) -> (u16, Option<String>, String) {
    let mut web = Web::connect(running);
    web.revision = MODERN;
    let message = web.make("tools/list", json!({}));
    web.post(&message, &[("Authorization", &format!("Bearer {token}"))]);
    let head = web.head();
    let body = String::from_utf8(web.body(&head)).expect("UTF-8");
    (head.status, head.header("www-authenticate").map(str::to_owned), body)
}

/// Who the server takes the holder of a token for, over both transports.
#[track_caller]
pub fn whoami(running: &Running, token: &str) -> Value {
    let bearer = format!("Bearer {token}");
    let mut peer = Peer::connect_to(running.addr(), &[("Authorization", &bearer)]).speaking(MODERN);
    let by_websocket = peer.call("whoami", json!({}))["structuredContent"].clone();
    let mut web = Web::connect(running);
    web.revision = MODERN;
    let message = web.make("tools/call", json!({ "name": "whoami", "arguments": {} }));
    web.post(&message, &[("Authorization", &bearer)]);
    let (status, answer) = web.json();
    assert_eq!((status, &answer["result"]["structuredContent"]), (200, &by_websocket), "{answer}");
    by_websocket
}

/// A token is refused over both transports, with that reason, and nothing of it comes back.
#[track_caller]
fn assert_refused(running: &Running, token: &str, why: &str) {
    let answer = knock(running, token).expect(401);
    let (status, challenge, body) = post(running, token);
    assert_eq!((status, body.as_str()), (401, answer.body.as_str()));
    for challenge in [challenge.as_deref(), answer.field("WWW-Authenticate")] {
        assert!(challenge.is_some_and(|text| text.ends_with("error=\"invalid_token\"")), "{challenge:?}");
    }
    assert!(body.contains(why), "{body:?} does not say {why:?}");
    let parts = token.split('.').filter(|part| part.len() > 8);
    assert!(parts.into_iter().all(|part| !body.contains(part)) && !body.contains(AUDIENCE), "{body}");
}

fn issuer() -> Jwt {
    Jwt::issuer(NAME).audience(AUDIENCE)
}

/// An issuer whose keys are in a file.
fn with_keys(files: &Files, keys: &[&Key]) -> Jwt {
    files.write("keys.json", &key_set(keys));
    issuer().jwks_file(files.path("keys.json"))
}

#[test]
fn the_holder_of_a_good_token_is_who_its_issuer_says() {
    let keys = [Key::p256("a"), Key::ed25519("b"), Key::rsa("c")];
    let files = Files::new();
    let running = serve(server(with_keys(&files, &keys.each_ref())));
    let expiry = now() + 600;
    let mut claims = claims();
    claims["exp"] = json!(expiry);
    for key in &keys {
        let who = whoami(&running, &key.token(&claims));
        assert_eq!(who["id"], format!("jwt:{NAME}#alice"));
        assert_eq!(who["scopes"], json!(["notes:read", "notes:write"]));
        assert_eq!(who["expiry"], expiry + 60, "with the leeway");
        assert_eq!(who["email"], "alice@example.com");
    }
    let variants: [(&str, Value); 6] = [
        ("aud", json!(["https://other.example", AUDIENCE])),
        ("exp", json!((expiry as f64) + 0.5)),
        ("nbf", json!(now() - 5)),
        ("iat", json!(now() + 30)),
        ("exp", json!(now() - 30)),
        ("scope", json!("")),
    ];
    for (name, value) in variants {
        let mut claims = claims.clone();
        claims[name] = value;
        assert_eq!(whoami(&running, &keys[0].token(&claims))["id"], format!("jwt:{NAME}#alice"), "{claims}");
    }
    // Media types have no case, and may be written out; the only key of its kind needs no name.
    for header in [
        json!({ "alg": "ES256", "typ": "application/AT+JWT", "kid": "a" }),
        json!({ "alg": "ES256", "typ": "at+jwt" }),
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": "a", "jku": "https://evil.example/keys", "x": 1 }),
    ] {
        whoami(&running, &keys[0].sign(&header.to_string(), &claims.to_string()));
    }
    whoami(&running, &keys[1].sign(r#"{"alg":"Ed25519","typ":"at+jwt","kid":"b"}"#, &claims.to_string()));
}

#[test]
fn tokens_that_somebody_else_made_or_changed_are_refused_and_the_honest_client_goes_on() {
    let keys = [Key::p256("a"), Key::ed25519("b"), Key::rsa("c")];
    let [key, ed, rsa] = &keys;
    let (files, stranger) = (Files::new(), Key::p256("a"));
    // Guessing is not slowed down here: each guess is to be told what is wrong.
    let server = server(with_keys(&files, &keys.each_ref()))
        .limits(|limits| (limits.failed_logins, limits.connect_rate) = (1_000, 0));
    let running = exposed(server);
    let good = key.token(&claims());
    let _honest = beside_with(&running, &good);
    let (head, body, signature) = {
        let mut parts = good.split('.');
        let mut next = || parts.next().expect("a part").to_owned();
        (next(), next(), next())
    };
    let claims_text = claims().to_string();
    let none = r#"{"alg":"none","typ":"at+jwt","kid":"a"}"#;
    // What a confused checker would take for the secret of a MAC: the public key, as it is published.
    let public = key_set(&[rsa]);
    let mac = {
        let signed = format!("{}.{}", encode(r#"{"alg":"HS256","typ":"at+jwt","kid":"c"}"#), encode(&claims_text));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes());
        format!("{signed}.{}", encode(ring::hmac::sign(&secret, signed.as_bytes())))
    };
    let mut flipped = signature.clone().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("ASCII");
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "typ": "at+jwt", "kid": kid }).to_string();
    const ALGORITHM: &str = "an algorithm that is not accepted";
    const SHAPE: &str = "neither known here nor a signed JWT";
    const WRONG: &str = "signature is wrong";
    let attacks = [
        (format!("{}.{body}.", encode(none)), ALGORITHM),
        (format!("{}.{body}.{signature}", encode(none)), ALGORITHM),
        (format!("{}.{body}.{signature}", encode(none.replace("none", "NonE"))), ALGORITHM),
        (mac, ALGORITHM),
        (stranger.token(&claims()), WRONG),
        (format!("{head}.{}.{signature}", encode(claims_text.replace("alice", "admin"))), WRONG),
        (format!("{}.{body}.{signature}", encode(header("ES256", "a").replace("at+jwt", "AT+jwt"))), WRONG),
        (format!("{head}.{body}.{flipped}"), WRONG),
        (format!("{head}.{body}.{}", encode([0; 64])), WRONG),
        (format!("{head}.{body}."), WRONG),
        (format!("{head}.{body}.{}", encode([7; 63])), WRONG),
        // The signature of one key under the name of another, or under another algorithm.
        (key.sign(&header("EdDSA", "b"), &claims_text), WRONG),
        (key.sign(&header("EdDSA", "a"), &claims_text), "algorithm is not that of its key"),
        (ed.sign(&header("ES256", "b"), &claims_text), "algorithm is not that of its key"),
        (rsa.sign(&header("PS256", "c"), &claims_text), ALGORITHM),
        (key.sign(&header("ES256", "z"), &claims_text), "a key that is not known here"),
        (key.sign(&header("ES256", &"k".repeat(257)), &claims_text), "more than 256 bytes"),
        // The head has another spelling, or says more than can be understood.
        (key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"a","crit":["exp"],"exp":1}"#, &claims_text), "extension"),
        (key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"a","crit":[]}"#, &claims_text), "extension"),
        (key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"a","b64":false}"#, &claims_text), "extension"),
        (key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":"a","zip":"DEF"}"#, &claims_text), "extension"),
        (key.sign(r#"{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"a"}"#, &claims_text), SHAPE),
        (key.sign(r#"{"alg":"ES256","typ":"at+jwt","kid":["a"]}"#, &claims_text), SHAPE),
        (key.sign(r#"{"typ":"at+jwt","kid":"a"}"#, &claims_text), ALGORITHM),
        (key.sign("[]", &claims_text), SHAPE),
        (key.sign(&header("ES256", "a"), "[1]"), "claims are not a JSON object"),
        (key.sign(&header("ES256", "a"), r#"{"sub":"alice","sub":"admin"}"#), "each name once"),
        (key.sign(&header("ES256", "a"), &claims_text.replacen('{', r#"{"x":{"y":1,"y":2},"#, 1)), "each name once"),
        (key.sign(&header("ES256", "a"), &format!("{{\"x\":{}{}}}", "[".repeat(99), "]".repeat(99))), "JSON object"),
        (format!("{good}."), SHAPE),
        (format!(".{good}"), SHAPE),
        (format!("{good}.{signature}"), SHAPE),
        (format!("{good}="), SHAPE),
        (good.replace('.', "~"), SHAPE),
        ("..".into(), SHAPE),
        ("a-token-of-good-length".into(), SHAPE),
        // An encrypted one has five parts.
        ("e30.e30.e30.e30.e30".into(), SHAPE),
    ];
    for (token, why) in &attacks {
        assert_refused(&running, token, why);
    }
    for (name, value, why) in [
        ("iss", json!("https://auth.example.com/"), "issuer is not known"),
        ("iss", json!("https://evil.example"), "issuer is not known"),
        ("iss", json!([NAME]), "issuer is not known"),
        ("aud", json!("https://other.example"), "another audience"),
        ("aud", json!([AUDIENCE, 1]), "another audience"),
        ("aud", json!(AUDIENCE.to_uppercase()), "another audience"),
        ("aud", json!([]), "another audience"),
        ("aud", Value::Null, "another audience"),
        ("exp", json!(now() - 61), "expired"),
        ("exp", json!(-1), "a time that is none"),
        ("exp", json!(1e300), "a time that is none"),
        ("exp", json!((now() + 600).to_string()), "a time that is none"),
        ("exp", Value::Null, "a time that is none"),
        ("nbf", json!(now() + 120), "not valid yet"),
        ("iat", json!(now() + 120), "in the future"),
        ("sub", json!(""), "who it is for"),
        ("sub", json!(7), "who it is for"),
        ("sub", json!("al\nice"), "who it is for"),
        ("sub", json!("x".repeat(513)), "who it is for"),
        ("scope", json!(7), "scopes"),
        ("scope", json!(["read", 7]), "scopes"),
        ("cnf", json!({ "jkt": "x" }), "bound to a key"),
    ] {
        let mut claims = claims();
        claims[name] = value;
        assert_refused(&running, &key.token(&claims), why);
    }
    for name in ["exp", "aud", "iss", "sub"] {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        knock(&running, &key.token(&claims)).expect(401);
    }
    for typ in [json!("JWT"), Value::Null, json!("dpop+jwt"), json!("")] {
        let token = key.sign(&json!({ "alg": "ES256", "typ": typ, "kid": "a" }).to_string(), &claims_text);
        knock(&running, &token).expect(401);
    }
    // Larger than any token that is taken, but not than a head.
    let mut large = claims();
    large["x"] = json!("x".repeat(4_000));
    knock(&running, &key.token(&large)).expect(400);
    let none = Head::new(running.addr()).ask(running.addr()).expect(401);
    assert!(none.field("WWW-Authenticate").is_some_and(|challenge| !challenge.contains("error")), "{none:?}");
    Head::new(running.addr()).line(&format!("GET /mcp?access_token={good} HTTP/1.1")).ask(running.addr()).expect(401);
    whoami(&running, &good);
}

#[test]
fn what_an_author_asks_for_is_what_counts() {
    let (key, rsa, files) = (Key::p256("a"), Key::rsa("c"), Files::new());
    let base = with_keys(&files, &[&key, &rsa]);
    let running = serve(server(base.clone().algorithms([Algorithm::Rs256])));
    knock(&running, &key.token(&claims())).expect(401);
    whoami(&running, &rsa.token(&claims()));

    let running = serve(server(base.clone().untyped()));
    for header in [r#"{"alg":"ES256","typ":"JWT"}"#, r#"{"alg":"ES256"}"#, r#"{"alg":"ES256","typ":"at+jwt"}"#] {
        whoami(&running, &key.sign(header, &claims().to_string()));
    }
    assert_refused(&running, &key.sign(r#"{"alg":"ES256","typ":"dpop+jwt"}"#, &claims().to_string()), "at+jwt");

    let jwt = base.clone().required_claims(["jti"]).scope_claim("permissions").principal_claim("client_id");
    let running = serve(server(jwt.leeway(std::time::Duration::ZERO)));
    let mut claims = claims();
    claims["permissions"] = json!(["a", "b c", "d\"", "e"]);
    let who = whoami(&running, &key.token(&claims));
    assert_eq!((&who["id"], &who["scopes"]), (&json!(format!("jwt:{NAME}#desk")), &json!(["a", "e"])));
    claims["exp"] = json!(now() - 1);
    assert_refused(&running, &key.token(&claims), "expired");
    claims["exp"] = json!(now() + 600);
    claims["jti"] = Value::Null;
    assert_refused(&running, &key.token(&claims), "lacks a claim");

    // Without scopes: none, not all.
    let running = serve(server(base));
    let mut claims = crate::issuer::claims();
    claims.as_object_mut().expect("an object").remove("scope");
    assert_eq!(whoami(&running, &key.token(&claims))["scopes"], json!([]));
    claims["scp"] = json!(["x"]);
    assert_eq!(whoami(&running, &key.token(&claims))["scopes"], json!(["x"]));
}

#[test]
fn what_is_open_ends_with_its_token() {
    let (key, files) = (Key::p256("a"), Files::new());
    let running = serve(server(with_keys(&files, &[&key]).leeway(Duration::ZERO)));
    let of = |seconds: u64| {
        let mut claims = claims();
        claims["exp"] = json!(now() + seconds);
        format!("Bearer {}", key.token(&claims))
    };
    let (short, long) = (of(3), of(600));
    let peer = |bearer: &str| Peer::connect_to(running.addr(), &[("Authorization", bearer)]).speaking(MODERN);
    let (mut ending, mut honest) = (peer(&short), peer(&long));
    let mut web = Web::connect(&running);
    web.revision = MODERN;
    let message = web.make("subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }));
    web.post(&message, &[("Authorization", &short)]);
    assert_eq!(web.head().status, 200);
    assert!(web.event().is_some_and(|event| event["method"] == "notifications/subscriptions/acknowledged"));
    let (code, reason) = ending.closed().expect("a close frame");
    assert!(code == 1008 && reason.contains("expired"), "{code} {reason}");
    assert_eq!(web.event(), None);
    web.assert_closed();
    assert_eq!(honest.call("whoami", json!({}))["structuredContent"]["id"], format!("jwt:{NAME}#alice"));
}

#[test]
fn several_issuers_static_tokens_and_an_authors_own_way_stand_side_by_side() {
    const TOKEN: &str = "a.token.of-good-length";
    let (one, two) = (Key::p256("k"), Key::p256("k"));
    let (files, others) = (Files::new(), Files::new());
    let other_name = "https://login.example.org/tenant";
    others.write("keys.json", &key_set(&[&two]));
    let other = Jwt::issuer(other_name).audience("notes").jwks_file(others.path("keys.json"));
    let settings = Settings::new()
        .jwt(with_keys(&files, &[&one]))
        .jwt(other)
        .bearer_token("bob", TOKEN)
        .authenticate(|head| head.header("X-Key").map(Principal::new).ok_or(mcp_blocking::Denied));
    let running = serve(settled(settings));
    let mut others_claims = claims();
    (others_claims["iss"], others_claims["aud"]) = (json!(other_name), json!("notes"));
    assert_eq!(whoami(&running, &one.token(&claims()))["id"], format!("jwt:{NAME}#alice"));
    assert_eq!(whoami(&running, &two.token(&others_claims))["id"], format!("jwt:{other_name}#alice"));
    assert_eq!(whoami(&running, TOKEN)["id"], "bob");
    // The key of one issuer says nothing for another, nor does its audience.
    knock(&running, &two.token(&claims())).expect(401);
    let mut crossed = others_claims.clone();
    crossed["aud"] = json!(AUDIENCE);
    knock(&running, &two.token(&crossed)).expect(401);
    let head = Head::new(running.addr()).add("Authorization", "Bearer a.b.c");
    head.ask(running.addr()).expect(401);
    head.add("X-Key", "carol").ask(running.addr()).expect(101);
}

#[test]
fn keys_in_pem_are_taken_whatever_tokens_call_them() {
    let public = |algorithm: &'static rcgen::SignatureAlgorithm| {
        rcgen::KeyPair::generate_for(algorithm).expect("a key").public_key_pem()
    };
    // Signed by keys that a server has in PEM: the fixture's public half, by openssl.
    let rsa = Key::rsa("anything");
    let other = public(&rcgen::PKCS_ECDSA_P384_SHA384);
    let jwt = issuer().key_pem(include_str!("keys/rsa.pub.pem")).key_pem(&other).key_pem(public(&rcgen::PKCS_ED25519));
    let running = serve(server(jwt));
    whoami(&running, &rsa.token(&claims()));
    assert_refused(&running, &Key::p256("x").token(&claims()), "a key that is not known here");
    assert_refused(&running, &Key::ed25519("x").token(&claims()), "signature is wrong");
}

#[test]
fn what_cannot_be_meant_is_said_when_the_server_is_bound() {
    let files = Files::new();
    files.write("empty.json", r#"{"keys":[]}"#);
    files.write("twice.json", r#"{"keys":[],"keys":[]}"#);
    files.write("secret.json", &json!({ "keys": [{ "kty": "oct", "k": "c2VjcmV0" }] }).to_string());
    files.write("ca.pem", "nothing");
    let file = |name: &str| issuer().jwks_file(files.path(name));
    let weak = json!({ "keys": [{ "kty": "RSA", "n": encode([0xff; 128]), "e": "AQAB" }] }).to_string();
    files.write("weak.json", &weak);
    let url = |url: &str| issuer().jwks_url(url);
    for (jwt, words) in [
        (issuer(), "name one place for the issuer's keys"),
        (file("empty.json").jwks_url("https://a.example/"), "name one place"),
        (Jwt::issuer(NAME).jwks_url("https://a.example/"), "say with `audience`"),
        (Jwt::issuer("https://a.example/#x").audience("a").jwks_url("https://a.example/"), "name the issuer"),
        (Jwt::issuer("").audience("a").jwks_url("https://a.example/"), "name the issuer"),
        (file("no-such.json"), "no-such.json`: the file cannot be read"),
        (file("empty.json"), "none of its keys can be used"),
        (file("secret.json"), "none of its keys can be used"),
        (file("weak.json"), "none of its keys can be used"),
        (file("twice.json"), "each name once"),
        (url("https://a.example/").algorithms([]), "name an algorithm"),
        (url("https://a.example/").leeway(std::time::Duration::from_secs(301)), "5 minutes at the most"),
        (url("https://a.example/").jwks_ca_file(files.path("ca.pem")), "there is no certificate in it"),
        (url("http://auth.example.com/keys"), "has to begin with `https://`"),
        (url("http://127.0.0.1/keys"), "has to begin with `https://`"),
        (url("https://169.254.169.254/keys"), "169.254.169.254 is a private address"),
        (url("https://[::1]/keys"), "::1 is a private address"),
        (url("https://[::ffff:10.0.0.1]/keys"), "is a private address"),
        (url("file:///etc/keys"), "has to begin with `https://`"),
        (issuer().key_pem(include_str!("keys/rsa.pem")), "there is no public key in it"),
        (
            issuer()
                .key_pem(rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key").serialize_pem()),
            "no public key",
        ),
    ] {
        let Err(Error::Setup(problems)) = server(jwt).bind("127.0.0.1:0") else { panic!("it was taken: {words}") };
        let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(text.contains(words) && text.contains("jwt.rs:"), "{words}: {text}");
    }
    let twice = Settings::new().jwt(url("https://a.example/")).jwt(url("https://b.example/"));
    assert!(settled(twice).bind("127.0.0.1:0").is_err_and(|error| error.to_string().contains("has been named before")));
    // It is authentication enough beyond loopback.
    let open = settled(Settings::new().jwt(url("https://a.example/")).plaintext_behind_proxy());
    assert!(open.bind("0.0.0.0:0").is_ok());
}
