# frozen_string_literal: true

# Encke, a Comet server, in a Ruby process:
#
#   Encke::Server.new(listen: "127.0.0.1:8080") do |server|
#     server.publish("/chat/rome", "salve")
#   end
#
# and a publisher to one that runs elsewhere:
#
#   publisher = Encke::Publisher.connect("unix:/run/encke.sock")
#   publisher.publish("/chat/rome", { text: "salve" })
module Encke
end

require_relative "encke/version"
require_relative "encke/error"
require_relative "encke/frames"
require_relative "encke/native"
require_relative "encke/event"
require_relative "encke/server"
require_relative "encke/publisher"
