# frozen_string_literal: true

require "support"

# What a server tells its host, and what the host decides, through each way to call the library.
module EventTests
  include Support

  def server(**options, &block)
    Encke::Server.new(listen: "127.0.0.1:0", backend: self.class::BACKEND, **options, &block)
  end

  def test_the_host_says_who_may_subscribe
    server(judge: "/private/*") do |server|
      asked = Queue.new
      judge = Thread.new do
        server.each_event do |event|
          asked << event
          event.request["query"].include?("key=right") ? event.allow! : event.deny!
        end
      end
      server.publish("/private/a", "secret")
      url = "http://#{server.address}/sub/private/a?transport=poll&since=earliest"
      assert_match(/secret/, request("#{url}&key=right").last)
      assert_equal [403, "forbidden"], request("#{url}&key=wrong").then { |status, body| [status, JSON.parse(body)["error"]] }
      assert_equal 200, request("http://#{server.address}/sub/public?transport=poll", "-H", "Cookie: a=b").first

      event = asked.pop
      assert_equal [:subscribe, "/private/a"], [event.kind, event.channel]
      assert_predicate event, :question?
      assert_operator event.client, :>, 0
      assert_match(/\A127\.0\.0\.1:\d+\z/, event.request["address"])
      assert_match(/\Acurl/, event.request["headers"]["user-agent"])
      assert_equal "key=wrong", asked.pop.request["query"][/key=\w+/]
      assert_empty asked
      server.stop
      assert_nil judge.value
    end
  end

  def test_a_host_that_never_answers_is_not_waited_for
    { "deny" => 403, "allow" => 200 }.each do |default, status|
      server(judge: "/private/*", judge_timeout: "200ms", judge_default: default) do |server|
        started = clock
        assert_equal status, request("http://#{server.address}/sub/private/a?transport=poll").first
        assert_operator clock - started, :>=, 0.2
        late = server.next_event(timeout: SECONDS)
        assert late.allow!
        assert late.deny!
      end
    end
  end

  KEYS = '{"keys":[{"kty":"oct","alg":"HS256","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}'
  # Of the user ann, who may subscribe to /chat/*; signed with that key.
  TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJlbmNrZSI6eyJzdWJzY3JpYmUiOlsiL2NoYXQvKiJdfX0." \
          "6JAQ2XGiKbBk3FIVyDe2xJI1yDdtmCDvZuZR4SkCTp8"

  def test_who_is_present_is_told_by_name
    Dir.mktmpdir do |directory|
      keys = File.join(directory, "keys.json")
      File.write(keys, KEYS)
      options = { token_keys: keys, token_expiry: "optional", presence: "/chat/*", presence_grace: "100ms" }
      server(events: "presence", **options) do |server|
        url = "http://#{server.address}/sub/chat/rome?transport=poll&token=#{TOKEN}"
        assert_equal 200, request(url).first
        %i[joined left].each do |kind|
          event = server.next_event(timeout: SECONDS)
          assert_equal [kind, "/chat/rome", "ann"], [event.kind, event.channel, event.data]
        end
      end
    end
  end

  def test_clients_publish_to_the_host
    server(host_channels: "/host/**") do |server|
      url = "http://#{server.address}/pub/host/a"
      assert_equal 202, request(url, "-d", "né", "-H", "Content-Type: text/plain").first
      assert_equal 202, request(url, "--data-binary", "@-", "-H", "Content-Type:").first
      event = server.next_event(timeout: SECONDS)
      assert_equal [:publish, "/host/a", "né", "text/plain"], [event.kind, event.channel, event.data, event.content_type]
      assert_equal Encoding::UTF_8, event.data.encoding
      assert_raises(Encke::Invalid) { event.allow! }
      assert_equal "", server.next_event(timeout: SECONDS).data
      assert_nil server.next_event
    end
  end

  def test_it_tells_who_comes_and_goes
    server(events: %w[subscribed unsubscribed gone]) do |server|
      sse(server.address, "/a") { assert_equal [:subscribed, "/a"], server.next_event(timeout: SECONDS).then { |event| [event.kind, event.channel] } }
      assert_equal %i[unsubscribed gone], Array.new(2) { server.next_event(timeout: SECONDS).kind }
    end
  end

  def test_a_host_that_is_too_slow_is_told_what_it_missed
    server(host_channels: "/host", events_max: 4) do |server|
      statuses = Array.new(8) { request("http://#{server.address}/pub/host", "-d", "x").first }
      assert_equal [202] * 4 + [503] * 4, statuses
      events = server.events
      assert_equal(%i[publish] * 4, Array.new(4) { events.next.kind })
    end
  end

  def test_events_wake_a_select_loop_and_a_thread
    server(host_channels: "/host") do |server|
      assert_nil IO.select([server.to_io], nil, nil, 0)
      assert_nil server.next_event(timeout: 0.01)
      waiting = Thread.new { server.next_event(timeout: nil) }
      request("http://#{server.address}/pub/host", "-d", "1")
      assert_equal "1", waiting.value.data
      request("http://#{server.address}/pub/host", "-d", "2")
      assert IO.select([server.to_io], nil, nil, SECONDS)
      assert_equal "2", server.next_event.data
      # It may be rung for once more, by a reactor that told the event before.
      eventually { server.next_event.nil? && IO.select([server.to_io], nil, nil, 0).nil? }
    end
  end

  def test_a_stop_ends_all_waiting
    server = server(host_channels: "/host")
    ready = Queue.new
    threads = [
      Thread.new { ready << 1; server.each_event { |_| flunk } },
      Thread.new { ready << 1; server.next_event(timeout: nil) rescue $!.class },
    ]
    2.times { ready.pop }
    server.stop
    assert_includes [nil, Encke::Closed], threads.map { |thread| thread.join(SECONDS).value }.last
  end

  def test_events_outlive_the_server_and_the_collector
    events = nil
    server(host_channels: "/host") do |server|
      GC.stress = true
      3.times { |number| request("http://#{server.address}/pub/host", "-d", "event #{number}") }
      events = Array.new(3) { server.next_event(timeout: SECONDS) }
    ensure
      GC.stress = false
    end
    GC.start
    assert_equal ["event 0", "event 1", "event 2"], events.map(&:data)
    assert_equal "/host", events.first.channel
    assert_kind_of Hash, events.first.request
  end

  def test_events_do_not_leak
    server(host_channels: "/host", events_max: 100) do |server|
      body = File.join(Dir.mktmpdir, "body")
      File.binwrite(body, "x" * 1_000_000)
      rounds = lambda do
        20.times do
          request("http://#{server.address}/pub/host", "--data-binary", "@#{body}")
          assert_equal 1_000_000, server.next_event(timeout: SECONDS).data.bytesize
        end
        GC.start
        File.read("/proc/self/statm").split[1].to_i * 4096
      end
      before = rounds.call
      # A hundred million bytes pass. The collector may keep a round's; what leaks is kept of each.
      after = Array.new(5) { rounds.call }.last
      assert_operator after - before, :<, 50_000_000
    end
  end
end

class EventsOverFfiTest < Minitest::Test
  BACKEND = :ffi
  include EventTests
end

class EventsOverFiddleTest < Minitest::Test
  BACKEND = :fiddle
  include EventTests
end
