# frozen_string_literal: true

# Decides who may read, and answers what clients publish to the host:
#
#   ruby -Ilib examples/judge.rb
#   curl -N 'http://127.0.0.1:8080/sub/private/ann?transport=sse&user=ann'       is let in, and greeted
#   curl 'http://127.0.0.1:8080/sub/private/ann?user=bob'                        403
#   curl -d 'hello' http://127.0.0.1:8080/pub/host/questions                     comes here

require "encke"
require "uri"

options = { listen: ENV.fetch("LISTEN", "127.0.0.1:8080"), judge: "/private/*", host_channels: "/host/**", events: ["subscribed"] }
Encke::Server.new(**options) do |server|
  trap("INT") { server.stop }
  $stdout.puts "http://#{server.address}"
  $stdout.flush
  server.each_event do |event|
    case event.kind
    when :subscribe
      user = URI.decode_www_form(event.request["query"].to_s).to_h["user"]
      event.channel == "/private/#{user}" ? event.allow! : event.deny!
    when :subscribed
      server.publish(event.channel, { welcome: event.client }) if event.channel.start_with?("/private/")
    when :publish
      server.publish("/questions", event.data, event: "question")
    end
  end
end
