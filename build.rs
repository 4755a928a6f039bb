//! Gives the shared library its name for the linker. Builds nothing and writes nothing.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let environment = |name: &str| std::env::var(name).unwrap_or_default();
    if environment("CARGO_CFG_TARGET_OS") == "linux" {
        // The ABI may change with the major version; programs linked against one must not load another.
        let soname = format!("libencke.so.{}", environment("CARGO_PKG_VERSION_MAJOR"));
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,{soname}");
        // A host that unloads us while our threads run would pull the code from under them.
        println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
