# frozen_string_literal: true

require "support"

# A server in this process, through each way to call the library.
module ServerTests
  include Support

  def server(**options, &block)
    Encke::Server.new(listen: "127.0.0.1:0", backend: self.class::BACKEND, **options, &block)
  end

  def test_what_is_published_arrives_as_it_was
    server do |server|
      assert server.publish("/a", "text, é")
      assert server.publish("/a", { "json" => [1, nil] })
      assert server.publish("/a", "<p>", content_type: "text/html")
      assert server.publish("/a", "\xFF\xFE\x00".b)
      assert server.publish("/a", "")
      assert server.flush
      messages = JSON.parse(get(server.address, "/a", "since=earliest"))["messages"]
      assert_equal ["text, é", { "json" => [1, nil] }, "<p>", "//4A", ""], messages.map { |message| message["data"] }
    end
  end

  def test_an_event_has_its_name
    server do |server|
      server.publish("/a", "rain", event: "weather")
      sse(server.address, "/a") { |io| assert_equal "weather", line(io, /\Aevent: (.*)$/) }
    end
  end

  def test_batches_arrive_as_single_messages_would
    batches = [%w[1 2 3], ["", "a", ""], ["a\nb", "c"], ["é", "\xFF".b, "x"], ["é".encode("UTF-16LE"), "x"], ["x", { "a" => 1 }, 7], []]
    server do |server|
      batches.each_with_index do |batch, number|
        assert_equal batch.size, server.publish_many("/#{number}/many", batch)
        assert_equal batch.size, server.publish_many("/#{number}/labelled", batch, event: "e", content_type: "text/x") if batch.all?(String)
        assert_equal batch.size, server.publish_pairs(batch.map { |data| ["/#{number}/pairs", data] })
        batch.each { |data| server.publish("/#{number}/single", data) }
      end
      server.flush
      batches.each_index do |number|
        many, pairs, single = %w[many pairs single].map do |way|
          JSON.parse(get(server.address, "/#{number}/#{way}", "transport=poll&since=earliest"))["messages"].map { |message| message["data"] }
        end
        assert_equal single, many
        assert_equal single, pairs
      end
    end
  end

  def test_a_channel_takes_what_its_server_does_in_one_order_with_it
    server(history_messages: 2000) do |server|
      channel = server.channel("/a")
      assert_equal "/a", channel.name
      assert_match(%r{/a}, channel.inspect)
      0.step(996, 4) do |number|
        assert channel.publish(number.to_s)
        assert server.publish("/a", (number + 1).to_s)
        assert_same channel, channel << { "n" => number + 2 }
        assert_equal 1, channel.publish_many([(number + 3).to_s])
      end
      assert channel.publish("<p>", event: "news", content_type: "text/html")
      assert channel.publish("\xFF\x00".b)
      expected = Array.new(1000) { |number| number % 4 == 2 ? { "n" => number } : number.to_s } + ["<p>", "/wA="]
      assert_equal expected, long_poll(server.address, "/a", 1002)
      assert_raises(Encke::Invalid) { channel.publish("x" * (2 << 20)) }
      ["a", "/", "/a/*", "", "/\xFF", "/#{"x" * 255}"].each { |name| assert_raises(Encke::Invalid, name.inspect) { server.channel(name) } }
      assert_raises(TypeError) { server.channel(:a) }
      # More than a thread remembers, and more than are ever open at once.
      1_000.times { |number| server.channel("/many/#{number % 200}") << "x" }
    end
  end

  def test_other_options_hold_at_once_and_those_that_cannot_are_named
    server(reactors: 1) do |server|
      server.publish("/a", "x" * 2000)
      assert_empty server.reload(listen: "127.0.0.1:0", reactors: 1, body_bytes_max: "1KiB")
      assert_raises(Encke::Invalid) { server.publish("/a", "x" * 2000) }
      assert_match(/--jitter/, assert_raises(Encke::BadOption) { server.reload(listen: "127.0.0.1:0", jitter: 99) }.message)
      assert_raises(Encke::Invalid) { server.publish("/a", "x" * 2000) }
      assert_equal %i[control reactors], server.reload(listen: "127.0.0.1:0", control: "/nowhere/encke.sock")
      assert server.publish("/a", "x" * 2000)
    end
  end

  def test_a_full_server_takes_what_it_has_room_for
    server(reactors: 1, mailbox_messages: 64) do |server|
      messages = Array.new(100_000, &:to_s)
      taken = server.publish_many("/a", messages)
      assert_operator taken, :<, messages.size
      # How soon it is full is between two threads.
      deadline = clock + SECONDS
      full = assert_raises(Encke::Full) { server.publish("/a", "x") while clock < deadline }
      assert_equal(-11, full.code)
    end
  end

  def test_it_tells_where_it_is_and_how_it_goes
    server(private: "127.0.0.1:0") do |server|
      assert_match(/\A127\.0\.0\.1:\d+\z/, server.address)
      assert_equal [server.address], server.addresses[:public]
      assert_equal 1, server.addresses[:private].size
      server.publish("/a", "1")
      server.flush
      assert_equal 1, server.stats["published"]
    end
  end

  def test_a_block_stops_it_and_hands_back_its_result
    kept = nil
    assert_equal 7, (server { |server| kept = server; 7 })
    assert_predicate kept, :stopped?
    assert_raises(RuntimeError) { server { |server| kept = server; raise "out" } }
    assert_predicate kept, :stopped?
  end

  def test_after_a_stop_all_is_closed
    server = server()
    channel = server.channel("/a")
    channel << "x"
    assert_nil server.stop
    assert_nil server.stop
    calls = {
      publish: -> { server.publish("/a", "x") }, json: -> { server.publish("/a", 1) }, many: -> { server.publish_many("/a", ["x"]) },
      pairs: -> { server.publish_pairs([["/a", "x"]]) }, flush: -> { server.flush }, stats: -> { server.stats }, address: -> { server.address },
      next_event: -> { server.next_event }, to_io: -> { server.to_io }, reload: -> { server.reload },
      channel: -> { server.channel("/a") }, channel_publish: -> { channel.publish("x") }, channel_json: -> { channel.publish(1) },
      channel_many: -> { channel.publish_many(["x"]) }
    }
    calls.each do |name, call|
      error = assert_raises(Encke::Closed, name.to_s) { call.call }
      assert_equal(-32, error.code)
    end
    assert_empty server.events.to_a
  end

  def test_wrong_use_raises
    server do |server|
      ["a", "/", "/a/", "/a/*", "/..", "", "/\xFF", "/a\n", "/#{"x" * 255}"].each do |channel|
        assert_raises(Encke::Invalid, channel.inspect) { server.publish(channel, "x") }
        assert_raises(Encke::Invalid, channel.inspect) { server.publish(channel, "x", event: "e") }
        assert_raises(Encke::Invalid, channel.inspect) { server.publish_many(channel, ["x"]) }
        assert_raises(Encke::Invalid, channel.inspect) { server.publish_pairs([[channel, "x"]]) }
      end
      assert_raises(Encke::Invalid) { server.publish("/a", "x", event: "two\nlines") }
      assert_raises(Encke::Invalid) { server.publish("/a", "x", content_type: "t" * 256) }
      assert_raises(Encke::Invalid) { server.publish("/a", "no JSON", content_type: "application/json") }
      assert_raises(Encke::Invalid) { server.publish("/a", "\xFF", event: "\xFF") }
      assert_raises(TypeError) { server.publish(:a, "x") }
      assert_raises(TypeError) { server.publish(nil, "x") }
      assert_raises(JSON::GeneratorError) { server.publish("/a", Float::NAN) }
    end
    assert_raises(Encke::BadOption) { server(lissten: "x") }
    assert_match(/reactors/, assert_raises(Encke::BadOption) { server(reactors: 1000) }.message)
    server { |server| assert_raises(Encke::SystemFailure) { Encke::Server.new(listen: server.address, backend: self.class::BACKEND) } }
  end

  def test_the_same_options_are_the_same_server
    first = server(control: File.join(Dir.tmpdir, "encke-#{Process.pid}-#{self.class::BACKEND}.sock"))
    second = server(control: first.addresses[:control])
    assert_equal first.address, second.address
    first.stop
    assert second.publish("/a", "x")
  ensure
    second.stop
  end

  def test_threads_keep_their_order
    Encke::Server.new(backend: self.class::BACKEND, **ROOMY) do |server|
      threads = Array.new(4) { |thread| Thread.new { 25_000.times { |number| publish(server, "/a", "#{thread}:#{number}") } } }
      sse(server.address, "/a") { |io| assert_each_in_order(data(io, 100_000), 4, 25_000) }
      threads.each(&:join)
    end
  end

  def test_batches_of_threads_keep_their_order
    Encke::Server.new(backend: self.class::BACKEND, **ROOMY) do |server|
      threads = Array.new(4) do |thread|
        Thread.new { (0...25_000).each_slice(1000) { |numbers| publish_many(server, "/a", numbers.map { |number| "#{thread}:#{number}" }) } }
      end
      threads.each(&:join)
      assert_each_in_order(long_poll(server.address, "/a", 100_000), 4, 25_000)
    end
  end

  def test_a_forked_process_is_told_and_disturbs_nothing
    server do |server|
      channel = server.channel("/a")
      seen = in_child do
        %i[stats next_event flush to_io].to_h { |call| [call, (server.public_send(call) && :done rescue $!.class.name)] }.merge(
          publish: (server.publish("/a", "x") rescue $!.class.name),
          channel: (channel.publish("x") rescue $!.class.name),
          own: Encke::Server.new(listen: "127.0.0.1:0", reactors: 1, backend: self.class::BACKEND) { |own| own.publish("/a", "x") },
          stop: server.stop
        )
      end
      forked = "Encke::Forked"
      assert_equal({ stats: forked, next_event: forked, flush: forked, to_io: forked, publish: forked, channel: forked, own: true, stop: nil }, seen)
      assert channel.publish("parent")
      sse(server.address, "/a") { |io| assert_equal ["parent"], data(io, 1) }
    end
  end

  def test_the_collector_may_come_at_any_time
    server do |server|
      GC.stress = true
      server.publish("/a", "1")
      server.publish("/a", [2])
      server.publish_many("/a", ["3", "4" * 100])
      server.publish_many("/a", ["5\n", "6"])
      server.publish_pairs([["/a", "7"]])
      server.channel("/a") << "8" << [9]
      server.channel("/a").publish_many(["10", "11"])
      server.flush
      server.stats
      GC.stress = false
      messages = JSON.parse(get(server.address, "/a", "since=earliest"))["messages"]
      assert_equal ["1", [2], "3", "4" * 100, "5\n", "6", "7", "8", [9], "10", "11"], messages.map { |message| message["data"] }
    ensure
      GC.stress = false
    end
  end
end

class ServerOverExtensionTest < Minitest::Test
  BACKEND = :extension
  include ServerTests
end

class ServerOverFfiTest < Minitest::Test
  BACKEND = :ffi
  include ServerTests
end

class ServerOverFiddleTest < Minitest::Test
  BACKEND = :fiddle
  include ServerTests
end
