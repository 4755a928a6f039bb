# frozen_string_literal: true

require "mkmf"

# The header lies in the gem, beside this file, or in the repository.
header = [__dir__, File.expand_path("../../../../include", __dir__)].find { |folder| File.exist?(File.join(folder, "encke.h")) }
abort "encke.h is not here" unless header

append_cflags(["-std=gnu11", "-O2"])
$INCFLAGS << " -I#{header}"
create_makefile("encke/native/calls")
