//! Signatures, made and checked by the crate `jsonwebtoken`, and keys that were found to be sound.
//!
//! Only its primitives are used, and those of the provider that is named here: neither its reading of tokens, nor its clock,
//! nor what another part of the process made its default.
//!
//! Invariant: a key has one algorithm. What was signed by another is not even looked at, whatever it says of itself.

use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use jsonwebtoken::{DecodingKey, EncodingKey};

/// The shortest shared secret: as long as the digest, as RFC 7518 (3.2) has it.
const SECRET_BYTES_MIN: usize = 32;
const SECRET_BYTES_MAX: usize = 1_024;
/// RFC 7518 (3.3) has the lower bound; what is longer than the upper one costs everybody too much.
const RSA_BITS_MIN: usize = 2_048;
const RSA_BITS_MAX: usize = 4_096;
const RSA_EXPONENT_BYTES_MAX: usize = 4;
/// A coordinate of P-256, and a whole public key of Ed25519.
const POINT_BYTES: usize = 32;

/// What a key signs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hs256,
    Rs256,
    Es256,
    EdDsa,
}

impl Algorithm {
    /// By the name that RFC 7518 and RFC 8037 give it. `none` is no algorithm.
    pub(super) fn named(name: &str) -> Option<Algorithm> {
        match name {
            "HS256" => Some(Algorithm::Hs256),
            "RS256" => Some(Algorithm::Rs256),
            "ES256" => Some(Algorithm::Es256),
            "EdDSA" => Some(Algorithm::EdDsa),
            _ => None,
        }
    }

    fn of_crate(self) -> jsonwebtoken::Algorithm {
        match self {
            Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// A key that can check signatures.
#[derive(Clone, Debug)]
pub(super) struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl Key {
    /// A secret that is shared with whoever signs.
    pub(super) fn secret(secret: &[u8]) -> Result<Key, &'static str> {
        match secret.len() {
            ..SECRET_BYTES_MIN => Err("k: a secret has at least 32 bytes (openssl rand 32)"),
            SECRET_BYTES_MIN..=SECRET_BYTES_MAX => Key::sound(Algorithm::Hs256, DecodingKey::from_secret(secret)),
            _ => Err("k: a secret has at most 1024 bytes"),
        }
    }

    /// A public key of RSA: modulus and exponent, the highest byte first.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Key, &'static str> {
        let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
        let bits = modulus.get(zeros).map_or(0, |first| (modulus.len() - zeros) * 8 - first.leading_zeros() as usize);
        let is_odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last % 2 == 1);
        if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) || !is_odd(modulus) {
            return Err("n: a modulus has 2048 to 4096 bits, and is odd");
        }
        if exponent.len() > RSA_EXPONENT_BYTES_MAX || !is_odd(exponent) || matches!(exponent, [0, .., 1] | [1]) {
            return Err("e: an exponent is odd, has at most 4 bytes, none of which is for nothing, and is 3 or more (AQAB)");
        }
        Key::sound(Algorithm::Rs256, DecodingKey::from_rsa_raw_components(modulus, exponent))
    }

    /// A public key of ECDSA on P-256: a point by its two coordinates.
    pub(super) fn p256(x: &[u8], y: &[u8]) -> Result<Key, &'static str> {
        if x.len() != POINT_BYTES || y.len() != POINT_BYTES {
            return Err("x, y: a coordinate of P-256 has 32 bytes");
        }
        // A point that is not compressed, by SEC 1.
        let point = [&[4], x, y].concat();
        Key::sound(Algorithm::Es256, DecodingKey::from_ec_der(&point)).map_err(|_| "x, y: they are no point of P-256")
    }

    /// A public key of Ed25519.
    pub(super) fn ed25519(x: &[u8]) -> Result<Key, &'static str> {
        if x.len() != POINT_BYTES {
            return Err("x: a public key of Ed25519 has 32 bytes");
        }
        Key::sound(Algorithm::EdDsa, DecodingKey::from_ed_der(x)).map_err(|_| "x: it is no point of Ed25519")
    }

    /// Whatever is wrong with a key is found when it is read, and not when the first token comes.
    fn sound(algorithm: Algorithm, key: DecodingKey) -> Result<Key, &'static str> {
        match (DEFAULT_PROVIDER.verifier_factory)(&algorithm.of_crate(), &key) {
            Ok(_) => Ok(Key { algorithm, key }),
            Err(_) => Err("it is no sound key"),
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is this key's for `message`. A shared secret's is compared in constant time.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let verifier = (DEFAULT_PROVIDER.verifier_factory)(&self.algorithm.of_crate(), &self.key);
        verifier.is_ok_and(|verifier| verifier.verify(message, &signature.to_vec()).is_ok())
    }

    /// The signature of `message`, which only a shared secret can make.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        if self.algorithm != Algorithm::Hs256 {
            return None;
        }
        let key = EncodingKey::from_secret(self.key.try_get_as_bytes().ok()?);
        let signer = (DEFAULT_PROVIDER.signer_factory)(&self.algorithm.of_crate(), &key).ok()?;
        signer.try_sign(message).ok()
    }
}
