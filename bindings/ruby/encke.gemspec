# frozen_string_literal: true

require_relative "lib/encke/version"

Gem::Specification.new do |gem|
  gem.name = "encke"
  gem.version = Encke::VERSION
  gem.summary = "A Comet server in a Ruby process, and publishers to one elsewhere"
  gem.description = "Parks, orders, remembers, resumes and fans out messages to browsers over HTTP: WebSocket, server-sent events, " \
                    "long-polling and all that the web has used since 1995."
  gem.authors = ["The Encke authors"]
  gem.licenses = ["MIT", "Apache-2.0"]
  gem.required_ruby_version = ">= 3.0"
  # A libencke.so beside lib/encke/native.rb is bundled. The calls in C are built where they can be, and the ffi gem is used where
  # it is installed; nothing is required.
  gem.files = Dir.chdir(__dir__) { Dir["lib/**/*.{rb,so,dylib}", "ext/**/{Rakefile,*.{c,h,rb}}", "examples/**/*.{rb,ru}", "README.md"] }
  gem.extensions = ["ext/encke/Rakefile"]
  gem.metadata["rubygems_mfa_required"] = "true"
end
