//! Each rule, with what it allows and what it refuses. Time is a number: tokens here end in the year 2027.

use super::signature::Key;
use super::*;
use crate::base::pattern::Pattern;
use crate::base::random::Seed;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

const KEYS: &str = include_str!("../../tests/tokens/keys.json");
const TOKENS: &str = include_str!("../../tests/tokens/tokens.txt");
/// When they end, but for the leeway.
const END_MS: u64 = 1_800_000_000_000;
const NOW_MS: u64 = END_MS - 3_600_000;

fn keyring(keys: &str) -> Arc<Keyring> {
    let mut keyring = Keyring::new(Seed(1, 2));
    keyring.set_token_keys(keys).expect("they are sound");
    Arc::new(keyring)
}

fn access_with(change: impl FnOnce(&mut Config)) -> Access {
    let mut config = Config::default();
    change(&mut config);
    config.check().expect("they fit");
    Access::new(&config, keyring(KEYS))
}

fn access() -> Access {
    access_with(|_| {})
}

/// The lines of the vectors that begin with `word`.
fn vectors(word: &str) -> Vec<&'static str> {
    TOKENS.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' ')).collect()
}

/// Signed with the shared secret.
fn token(claims: &Value) -> String {
    keyring(KEYS).sign_token(None, &claims.to_string()).expect("there is a secret")
}

/// Signed with the shared secret, whatever the header says.
fn token_with(header: &Value, claims: &str) -> String {
    let secret: Vec<u8> = (0..32).collect();
    signed_by(&Key::secret(&secret).unwrap(), header, claims)
}

fn signed_by(key: &Key, header: &Value, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn refused(access: &mut Access, token: &str) -> (&'static str, String) {
    let reject = access.of_token(token, NOW_MS).expect_err(token);
    assert_eq!(reject.status, 401);
    (reject.code, reject.detail.into_owned())
}

#[test]
fn a_token_of_each_algorithm_is_good_with_the_kid_of_its_key_and_without() {
    for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
        let tokens = vectors(algorithm);
        assert_eq!(tokens.len(), 2);
        for token in tokens {
            let grant = access().of_token(token, NOW_MS).unwrap_or_else(|reject| panic!("{algorithm}: {reject:?}"));
            assert_eq!((grant.kind, grant.user.as_deref()), (Kind::Token, Some("ann")));
            assert_eq!(grant.expires_unix_ms, Some(END_MS + LEEWAY_MS));
            assert!(grant.may_subscribe("/a/b") && !grant.may_subscribe("/a/b/c") && !grant.may_subscribe("/b"));
            assert!(grant.may_publish("/b") && !grant.may_publish("/a/b"));
            assert!(!grant.may_manage("/b"), "that is for applications");
        }
    }
}

#[test]
fn a_token_that_was_changed_anywhere_is_not_good() {
    let mut access = access();
    for algorithm in ["HS256", "RS256", "ES256", "EdDSA"] {
        let good = vectors(algorithm)[0];
        for at in (0..good.len()).step_by(7) {
            let mut bytes = good.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(refused(&mut access, &changed).0, "bad_token", "{changed}");
        }
        let (signed, signature) = good.rsplit_once('.').unwrap();
        for bad in [format!("{signed}."), format!("{signed}.{}", &signature[..signature.len() - 4]), format!("{good}AAAA")] {
            assert_eq!(refused(&mut access, &bad).0, "bad_token", "{bad}");
        }
    }
}

/// RFC 7515, A.1 to A.3, whose claims expired in 2011.
#[test]
fn the_examples_of_the_standard_are_good() {
    let (payload, end) =
        ("eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ", 1_300_819_380_000);
    for (key, header, signature) in [
        (
            r#"{"kty":"oct","alg":"HS256","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#,
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
            "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        ),
        (
            r#"{"kty":"RSA","alg":"RS256","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"}"#,
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            r#"{"kty":"EC","alg":"ES256","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let mut access = Access::new(&Config::default(), keyring(&format!("{{\"keys\":[{key}]}}")));
        let token = format!("{header}.{payload}.{signature}");
        let grant = access.of_token(&token, end - 1).expect(header);
        assert_eq!((&grant.user, grant.expires_unix_ms), (&None, Some(end + LEEWAY_MS)));
        assert!(!grant.may_subscribe("/a"), "it says nothing of channels");
        assert_eq!(access.of_token(&token, end + LEEWAY_MS).unwrap_err().code, "token_expired");
    }
}

/// RFC 8037, A.4, which signs what are no claims.
#[test]
fn the_example_of_ed25519_is_good() {
    let bytes = |text| URL_SAFE_NO_PAD.decode(text).unwrap();
    let key = Key::ed25519(&bytes("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")).unwrap();
    let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = bytes("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    assert!(key.verifies(signed, &signature));
    assert!(!key.verifies(&signed[1..], &signature) && !key.verifies(signed, &signature[1..]) && !key.verifies(signed, b""));
}

#[test]
fn a_token_says_what_it_is_signed_with_and_the_key_decides_whether_that_can_be() {
    let claims = format!("{{\"exp\":{}}}", END_MS / 1_000);
    let rsa: Value = serde_json::from_str(KEYS.lines().nth(2).unwrap().trim_end_matches(',')).unwrap();
    let modulus = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    let public = Key::secret(&modulus).unwrap();
    let mut access = access();
    assert!(access.of_token(&token_with(&json!({"alg":"HS256"}), &claims), NOW_MS).is_ok());
    for (token, expected) in [
        (token_with(&json!({"alg":"none"}), &claims), "alg: it is none of"),
        (token_with(&json!({"alg":"None","kid":"hs"}), &claims), "alg: it is none of"),
        (token_with(&json!({"alg":"hs256"}), &claims), "alg: it is none of"),
        (token_with(&json!({"alg":"HS512"}), &claims), "alg: it is none of"),
        (token_with(&json!({"alg":"RS256"}), &claims), "its signature is not"),
        (token_with(&json!({"alg":"HS256","kid":"rs"}), &claims), "alg: there is no key for it"),
        (token_with(&json!({"alg":"RS256","kid":"hs"}), &claims), "alg: there is no key for it"),
        (token_with(&json!({"alg":"HS256","kid":"nobody"}), &claims), "kid: there is no such key"),
        (token_with(&json!({"alg":"HS256","kid":""}), &claims), "kid: there is no such key"),
        (token_with(&json!({"alg":"HS256","crit":["b64"],"b64":false}), &claims), "crit: "),
        (token_with(&json!({"alg":"HS256","kid":7}), &claims), "its header is no"),
        (token_with(&json!({"typ":"JWT"}), &claims), "its header is no"),
        (token_with(&json!("HS256"), &claims), "its header is no"),
        // A public key is known to everybody, and must not pass for a secret.
        (signed_by(&public, &json!({"alg":"HS256"}), &claims), "its signature is not"),
        (signed_by(&public, &json!({"alg":"HS256","kid":"rs"}), &claims), "alg: there is no key for it"),
        (signed_by(&public, &json!({"alg":"RS256","kid":"rs"}), &claims), "its signature is not"),
    ] {
        let (code, detail) = refused(&mut access, &token);
        assert!(code == "bad_token" && detail.starts_with(expected), "{token}: {detail}");
    }
}

#[test]
fn what_has_not_the_form_of_a_token_is_none() {
    let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), URL_SAFE_NO_PAD.encode("{}"));
    let padded = format!("{}=", vectors("HS256")[0]);
    let long = "a".repeat(4_097);
    let name = vectors("name")[0];
    for bad in ["", ".", "..", "...", "a.b", "a.b.c.d", "Bearer x", "é.é.é", &unsigned, &padded, &long, name] {
        assert_eq!(refused(&mut access(), bad).0, "bad_token", "{bad}");
    }
    let mut keyless = Access::new(&Config::default(), Arc::new(Keyring::new(Seed(1, 2))));
    assert_eq!(refused(&mut keyless, vectors("HS256")[0]).1, "there are no keys that tokens are signed with (token_keys)");
}

#[test]
fn each_claim_is_held_against_its_rule() {
    let (end, late) = (END_MS / 1_000, u64::MAX);
    let now = NOW_MS / 1_000;
    let with = |more: Value| {
        let mut claims = json!({ "exp": end });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    let many = |count: usize| json!({"encke":{"subscribe": vec!["/a"; count]}});
    for (claims, expected) in [
        (json!({}), "exp: it does not say"),
        (json!({ "exp": null }), "exp: it does not say"),
        (json!({ "exp": now - 5 }), "expired"),
        (json!({ "exp": now - 4 }), ""),
        (json!({ "exp": 0 }), "expired"),
        (json!({ "exp": now as f64 + 0.5 }), ""),
        (json!({ "exp": "1800000000" }), "exp: it is not a number"),
        (json!({ "exp": -1 }), "exp: it is not a number"),
        (json!({ "exp": late }), "exp: it is not a number"),
        (with(json!({ "nbf": now + 5 })), ""),
        (with(json!({ "nbf": now + 6 })), "nbf: the token is not good yet"),
        (with(json!({ "nbf": [] })), "nbf: it is not a number"),
        (with(json!({ "sub": "ann" })), ""),
        (with(json!({ "sub": "ü".repeat(127) })), ""),
        (with(json!({ "sub": "u".repeat(256) })), "sub: "),
        (with(json!({ "sub": "" })), "sub: "),
        (with(json!({ "sub": "a\nb" })), "sub: "),
        (with(json!({ "sub": 7 })), "sub: it is not a text"),
        (with(json!({ "iss": "anybody" })), ""),
        (with(json!({ "iss": 7 })), "iss: it is not a text"),
        (with(json!({ "aud": "push" })), "aud: the token is for somebody else"),
        (with(json!({ "encke": {} })), ""),
        (with(json!({ "encke": {"subscribe": ["/a", "/b/*", "/c/**"], "publish": []} })), ""),
        (with(json!({ "encke": {"subscribe": ["a"]} })), "encke.subscribe: "),
        (with(json!({ "encke": {"subscribe": ["/a,/b"]} })), ""),
        (with(json!({ "encke": {"publish": ["/*/a"]} })), "encke.publish: "),
        (with(json!({ "encke": {"subscribe": "/a"} })), "encke: "),
        (with(json!({ "encke": {"subscrib": ["/a"]} })), "encke: "),
        (with(json!({ "encke": ["/a", 7] })), "encke: "),
        (with(many(64)), ""),
        (with(many(65)), "encke.subscribe: "),
    ] {
        let outcome = access().of_token(&token(&claims), NOW_MS);
        match expected {
            "" => assert!(outcome.is_ok(), "{claims}: {outcome:?}"),
            "expired" => assert_eq!(outcome.unwrap_err().code, "token_expired", "{claims}"),
            expected => {
                let reject = outcome.expect_err(expected);
                assert!(reject.code == "bad_token" && reject.detail.starts_with(expected), "{claims}: {reject:?}");
            }
        }
    }
    for text in
        ["", "[]", "7", "{\"exp\":1800000000,\"exp\":1900000000}", "{\"exp\":1800000000,\"sub\":\"a\",\"sub\":\"b\"}", "{"]
    {
        let token = keyring(KEYS).sign_token(None, text).unwrap();
        assert_eq!(refused(&mut access(), &token).0, "bad_token", "{text}");
    }
}

#[test]
fn a_comma_in_a_claim_is_part_of_a_name() {
    let grant = access().of_token(&token(&json!({"exp": END_MS / 1_000, "encke":{"subscribe":["/a,/b"]}})), NOW_MS).unwrap();
    assert!(grant.may_subscribe("/a,/b") && !grant.may_subscribe("/a") && !grant.may_subscribe("/b"));
}

#[test]
fn an_operator_can_ask_for_more_or_for_less() {
    let claims = |more: Value| {
        let mut claims = json!({ "exp": END_MS / 1_000 });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token(&claims)
    };
    let mut access = access_with(|config| {
        config.token_audience = "push".into();
        config.token_issuer = "https://login.example".into();
    });
    let iss = "https://login.example";
    for (more, expected) in [
        (json!({ "iss": iss, "aud": "push" }), ""),
        (json!({ "iss": iss, "aud": ["shop", "push"] }), ""),
        (json!({ "iss": iss, "aud": ["shop"] }), "aud: the token is for"),
        (json!({ "iss": iss, "aud": [] }), "aud: the token is for"),
        (json!({ "iss": iss, "aud": "pushes" }), "aud: the token is for"),
        (json!({ "iss": iss, "aud": 7 }), "aud: it is neither"),
        (json!({ "iss": iss }), "aud: the token is for"),
        (json!({ "aud": "push" }), "iss: the token is by"),
        (json!({ "iss": "https://other.example", "aud": "push" }), "iss: the token is by"),
    ] {
        match (expected, access.of_token(&claims(more.clone()), NOW_MS)) {
            ("", outcome) => assert!(outcome.is_ok(), "{more}: {outcome:?}"),
            (expected, outcome) => assert!(outcome.expect_err(expected).detail.starts_with(expected), "{more}"),
        }
    }
    let mut lenient = access_with(|config| config.token_expiry = "optional".into());
    assert_eq!(lenient.of_token(&token(&json!({})), NOW_MS).unwrap().expires_unix_ms, None);
    assert_eq!(refused(&mut lenient, &token(&json!({ "exp": 1 }))).0, "token_expired");
    let endless = keyring(KEYS).sign_name(None, "/a", None).unwrap();
    assert_eq!(lenient.of_signed_name(&endless, NOW_MS).unwrap().expires_unix_ms, None);
    assert_eq!(self::access().of_signed_name(&endless, NOW_MS).unwrap_err().code, "bad_name");
}

#[test]
fn a_good_token_is_remembered_until_it_is_over_and_no_longer_than_its_key() {
    let good = vectors("ES256")[0];
    let mut access = access();
    let first = access.of_token(good, NOW_MS).unwrap();
    assert!(Arc::ptr_eq(&first, &access.of_token(good, NOW_MS).unwrap()));
    assert!(access.of_token(good, END_MS + LEEWAY_MS - 1).is_ok());
    for _ in 0..2 {
        assert_eq!(access.of_token(good, END_MS + LEEWAY_MS).unwrap_err().code, "token_expired");
    }
    let rotated = KEYS.replace("\"kid\":\"es\"", "\"kid\":\"new\"");
    let mut reloaded = Access::new(&Config::default(), keyring(&rotated));
    assert_eq!(refused(&mut reloaded, good).1, "kid: there is no such key");
}

#[test]
fn keys_rotate_while_tokens_of_both_are_about() {
    let key = |kid: &str, k: &str| format!("{{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"{kid}\",\"k\":\"{}\"}}", k.repeat(43));
    let (old, new) = (key("old", "A"), key("new", "E"));
    let [before, during, after] =
        [format!("{{\"keys\":[{old}]}}"), format!("{{\"keys\":[{new},{old}]}}"), format!("{{\"keys\":[{new}]}}")]
            .map(|set| keyring(&set));
    let claims = format!("{{\"exp\":{}}}", END_MS / 1_000);
    let (old, new) = (before.sign_token(None, &claims).unwrap(), during.sign_token(None, &claims).unwrap());
    assert_eq!(during.sign_token(Some("old"), &claims).as_ref(), Some(&old));
    assert_eq!(during.sign_token(Some("other"), &claims), None);
    let name = before.sign_name(None, "/a", Some(END_MS / 1_000)).unwrap();
    for (keyring, takes_old, takes_new) in [(before, true, false), (during, true, true), (after, false, true)] {
        let mut access = Access::new(&Config::default(), keyring);
        assert_eq!(access.of_token(&old, NOW_MS).is_ok(), takes_old);
        assert_eq!(access.of_token(&new, NOW_MS).is_ok(), takes_new);
        assert_eq!(access.of_signed_name(&name, NOW_MS).is_ok(), takes_old);
    }
}

#[test]
fn a_signed_name_lets_somebody_read_one_channel_for_a_while() {
    let (access, name) = (access(), vectors("name")[0]);
    assert_eq!(keyring(KEYS).sign_name(Some("hs"), "/a/b", Some(END_MS / 1_000)).as_deref(), Some(name));
    let grant = access.of_signed_name(name, NOW_MS).unwrap();
    assert_eq!((grant.kind, &grant.user, grant.signed_channel()), (Kind::SignedName, &None, Some("/a/b")));
    assert_eq!(grant.expires_unix_ms, Some(END_MS + LEEWAY_MS));
    for other in ["/a", "/a/b/c", "/a/c", "/b"] {
        assert!(!grant.may_subscribe(other), "{other}");
    }
    assert!(grant.may_subscribe("/a/b") && !grant.may_publish("/a/b") && !grant.may_manage("/a/b"));
    assert_eq!(access.of_signed_name(name, END_MS + LEEWAY_MS).unwrap_err().code, "token_expired");
    let pattern = keyring(KEYS).sign_name(None, "/a/*", Some(END_MS / 1_000)).unwrap();
    let grant = access.of_signed_name(&pattern, NOW_MS).unwrap();
    assert!(grant.may_subscribe("/a/c") && !grant.may_subscribe("/a/c/d") && grant.signed_channel().is_none());
    assert!(grant.may_watch(&Pattern::parse("/a/*").unwrap()) && !grant.may_watch(&Pattern::parse("/a/**").unwrap()));
}

#[test]
fn a_signed_name_that_was_changed_or_is_something_else_is_refused() {
    let access = access();
    let key: Vec<u8> = (0..32).collect();
    let sign = |text: &str| {
        let name = URL_SAFE_NO_PAD.encode(text);
        format!("{name}.{}", URL_SAFE_NO_PAD.encode(Key::secret(&key).unwrap().sign(name.as_bytes()).unwrap()))
    };
    assert!(access.of_signed_name(&sign("/a\n1800000000"), NOW_MS).is_ok());
    let good = vectors("name")[0];
    for at in 0..good.len() {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(access.of_signed_name(&changed, NOW_MS).unwrap_err().code, "bad_name", "{changed}");
    }
    let texts = ["/a", "/a\n", "/a\nsoon", "/a\n-1", "/a\n+1800000000", "/a\n1800000000\n", "/a\n9999999999999", "a\n1800000000"];
    for bad in texts.map(sign).iter().map(String::as_str).chain(["", ".", "a.b", vectors("HS256")[0], &"a".repeat(1_025)]) {
        let reject = access.of_signed_name(bad, NOW_MS).expect_err(bad);
        assert_eq!((reject.status, reject.code), (401, "bad_name"), "{bad}");
    }
    let public = Access::new(
        &Config::default(),
        keyring(&format!("{{\"keys\":[{}]}}", KEYS.lines().nth(3).unwrap().trim_end_matches(','))),
    );
    assert!(public.of_signed_name(good, NOW_MS).unwrap_err().detail.contains("no keys of HS256"));
}

#[test]
fn what_is_wrong_with_a_key_set_is_told_with_its_line_and_no_key() {
    let set = |key: &str| format!("{{ \"keys\": [\n  {key}\n] }}");
    let secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let oct = |more: &str| set(&format!("{{\"kty\":\"oct\",\"k\":\"{secret}\"{more}}}"));
    let rsa = |n: &[u8], e: &str| {
        set(&format!("{{\"kty\":\"RSA\",\"alg\":\"RS256\",\"n\":\"{}\",\"e\":\"{e}\"}}", URL_SAFE_NO_PAD.encode(n)))
    };
    let ec =
        |x: &str, y: &str| set(&format!("{{\"kty\":\"EC\",\"alg\":\"ES256\",\"crv\":\"P-256\",\"x\":\"{x}\",\"y\":\"{y}\"}}"));
    let ed = |x: &str| set(&format!("{{\"kty\":\"OKP\",\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":\"{x}\"}}"));
    let odd = |len: usize| [&[0x80][..], &vec![0; len - 2], &[1]].concat();
    let d = secret;
    for (text, expected) in [
        ("", "line 1: it is no JSON"),
        ("{}", "line 1: it is no key set"),
        ("{\"keys\":{}}", "line 1: it is no key set"),
        ("{\"keys\":[]}\n}", "line 2: it is no JSON"),
        (&set("7"), "line 2: key 1: each of its members"),
        (&set("{\"kty\":\"oct\"}"), "line 2: key 1: alg: it is missing"),
        (&oct(""), "line 2: key 1: alg: it is missing"),
        (&oct(",\"alg\":\"none\""), "line 2: key 1: alg: \"none\" is none of"),
        (&oct(",\"alg\":\"HS512\""), "line 2: key 1: alg: \"HS512\" is none of"),
        (&oct(",\"alg\":\"RS256\""), "line 2: key 1: kty: it is \"oct\", and RS256 is for \"RSA\" alone"),
        (&oct(",\"alg\":\"HS256\",\"use\":\"enc\""), "line 2: key 1: use: "),
        (&oct(",\"alg\":\"HS256\",\"kid\":\"\""), "line 2: key 1: kid: "),
        (&oct(",\"alg\":\"HS256\",\"alg\":\"HS256\""), "line 2: key 1: each of its members stands there once"),
        (&set("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AAAA\"}"), "line 2: key 1: k: a secret has at least 32 bytes"),
        (&set("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"secret!\"}"), "line 2: key 1: k: it is not base64url"),
        (&set("{\"kty\":\"oct\",\"alg\":\"HS256\"}"), "line 2: key 1: k: it is missing"),
        (&rsa(&odd(255), "AQAB"), "line 2: key 1: n: a modulus has 2048"),
        (&rsa(&odd(513), "AQAB"), "line 2: key 1: n: a modulus has 2048"),
        (&rsa(&vec![0x80; 256], "AQAB"), "line 2: key 1: n: a modulus has 2048"),
        (&rsa(&odd(256), "AQ"), "line 2: key 1: e: "),
        (&rsa(&odd(256), "AQAA"), "line 2: key 1: e: "),
        (&rsa(&odd(256), ""), "line 2: key 1: e: "),
        (&rsa(&odd(256), "AQAAAAAB"), "line 2: key 1: e: "),
        (&ec(secret, secret), "line 2: key 1: x, y: they are no point"),
        (&ec("AAAA", secret), "line 2: key 1: x, y: a coordinate"),
        (&ed("AAAA"), "line 2: key 1: x: a public key of Ed25519 has 32 bytes"),
        (&ed(&format!("{secret}AAAA")), "line 2: key 1: x: a public key of Ed25519 has 32 bytes"),
        (&set(&format!("{{\"kty\":\"OKP\",\"alg\":\"EdDSA\",\"crv\":\"Ed448\",\"x\":\"{secret}\"}}")), "line 2: key 1: crv: "),
        (
            &set(&format!("{{\"kty\":\"OKP\",\"alg\":\"EdDSA\",\"crv\":\"Ed25519\",\"x\":\"{secret}\",\"d\":\"{d}\"}}")),
            "line 2: key 1: d: this is a private key",
        ),
        (&KEYS.replace("\"kid\":\"ed\"", "\"kid\":\"hs\""), "line 5: key 4: kid: a key before it has the same"),
    ] {
        let error = Keyring::new(Seed(1, 2)).set_token_keys(text).expect_err(text);
        assert!(error.starts_with(expected), "{text}: {error}");
        assert!(!error.contains(&secret[..8]), "{error}");
    }
    let many = |count: usize| {
        format!("{{\"keys\":[{}]}}", vec![format!("{{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"{secret}\"}}"); count].join(","))
    };
    assert!(Keyring::new(Seed(1, 2)).set_token_keys(&many(16)).is_ok());
    assert_eq!(Keyring::new(Seed(1, 2)).set_token_keys(&many(17)).unwrap_err(), "it holds 17 keys, and at most 16 are allowed");
    for sound in [rsa(&odd(256), "Aw"), rsa(&odd(512), "AQAB"), rsa(&[&[0][..], &odd(256)].concat(), "AQAB")] {
        assert_eq!(Keyring::new(Seed(1, 2)).set_token_keys(&sound), Ok(()));
    }
}

#[test]
fn strangers_may_what_the_operator_says() {
    let beyond = || Config { listen: vec!["0.0.0.0:80".into()], ..Config::default() };
    let named = || Config { anonymous_subscribe: "/news,/chat/*".into(), anonymous_publish: "/chat/*".into(), ..beyond() };
    for (config, door, reads, not, writes, not_writes) in [
        (
            beyond(),
            Door::Public,
            &["/public/a", "/public/a/b"][..],
            &["/public", "/a", "/demo/a"][..],
            &[][..],
            &["/public/a"][..],
        ),
        (beyond(), Door::PublicLoopback, &["/a", "/public/a"], &[], &["/a"], &[]),
        (Config { demo: "on".into(), ..beyond() }, Door::Public, &["/public/a", "/demo/a"], &["/demo", "/a"], &[], &["/demo/a"]),
        (Config { anonymous_subscribe: String::new(), ..beyond() }, Door::Public, &[], &["/public/a", "/a"], &[], &["/a"]),
        (Config { anonymous_subscribe: String::new(), ..beyond() }, Door::PublicLoopback, &[], &["/a"], &["/a"], &[]),
        (named(), Door::Public, &["/news", "/chat/a"], &["/public/a", "/chat/a/b"], &["/chat/a"], &["/news", "/a"]),
        (named(), Door::PublicLoopback, &["/news", "/chat/a"], &["/public/a"], &["/a"], &[]),
        (beyond(), Door::Private, &["/a"], &[], &["/a"], &[]),
        (beyond(), Door::PrivateLoopback, &["/a"], &[], &["/a"], &[]),
        (named(), Door::Control, &["/a"], &[], &["/a"], &[]),
    ] {
        config.check().unwrap();
        let access = Access::new(&config, Arc::new(Keyring::new(Seed(1, 2))));
        let grant = access.of_door(door);
        assert_eq!((&grant.user, grant.expires_unix_ms), (&None, None));
        assert_eq!(grant.kind == Kind::Application, !door.is_public());
        assert!(reads.iter().all(|channel| grant.may_subscribe(channel)), "{door:?} {reads:?}");
        assert!(!not.iter().any(|channel| grant.may_subscribe(channel)), "{door:?} {not:?}");
        assert!(writes.iter().all(|channel| grant.may_publish(channel)), "{door:?} {writes:?}");
        assert!(!not_writes.iter().any(|channel| grant.may_publish(channel)), "{door:?} {not_writes:?}");
        assert_eq!(grant.may_manage("/a"), !door.is_public());
    }
}

#[test]
fn a_key_of_an_application_is_good_or_refused() {
    let mut keyring = Keyring::new(Seed(1, 2));
    let access = |keyring: &Keyring| Access::new(&Config::default(), Arc::new(keyring.clone()));
    let reject = access(&keyring).of_key("one").unwrap_err();
    assert_eq!((reject.status, reject.code), (401, "bad_key"));
    keyring.set_api_keys(&api_key_line("shop", "one", "/shop/**").unwrap()).unwrap();
    let grant = access(&keyring).of_key("one").unwrap();
    assert!(grant.user.as_deref() == Some("shop") && grant.may_publish("/shop/a") && !grant.may_publish("/a"));
    let reject = access(&keyring).of_key("two").unwrap_err();
    assert_eq!((reject.status, reject.code), (401, "bad_key"));
}
