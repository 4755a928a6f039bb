# frozen_string_literal: true

require "support"

# A publisher to a server in another process, through libencke and in Ruby alone.
module PublisherTests
  include Support

  BINARY = ENV.fetch("ENCKE_BINARY")
  COUNT = 25_000

  def setup
    @folder = Dir.mktmpdir
    @socket = File.join(@folder, "encke.sock")
  end

  def teardown
    FileUtils.rm_rf(@folder)
  end

  # Runs a server of its own; yields its process and address. A second one may take the place of the first.
  def serve(**options)
    options = { listen: "127.0.0.1:0", private: "off", control: @socket, history_messages: 200_000, history_bytes: "64MiB" }.merge(options)
    arguments = options.flat_map { |name, value| ["--#{name.to_s.tr("_", "-")}", value.to_s] }
    program(BINARY, "serve", *arguments, err: %i[child out]) do |io|
      address = line(io, %r{subscribe at http://([\d.:]+)})
      line(io, /(publish at unix)/)
      yield io.pid, address
    ensure
      kill(io.pid)
    end
  end

  def connect(**options)
    publisher = Encke::Publisher.connect("unix:#{@socket}", via: self.class::VIA, **options)
    return publisher unless block_given?

    result = yield publisher
    publisher.close
    result
  end

  def kill(pid, signal = "KILL")
    Process.kill(signal, pid)
  rescue Errno::ESRCH
    # It has ended.
  end

  # Stops a process. The signal is taken by one of its threads; the others may run on until that one has its turn.
  def stand_still(pid)
    kill(pid, "STOP")
    eventually { Dir["/proc/#{pid}/task/*/stat"].all? { |stat| File.read(stat).match?(/.*\) T /m) } }
  end

  # What the server has of `channel` now.
  def kept(address, channel)
    JSON.parse(get(address, channel, "transport=poll&since=earliest"))["messages"].map { |message| message["data"] }
  end

  # How many messages `channel` has had: where a cursor to its end stands.
  def count(address, channel)
    JSON.parse(get(address, channel, "transport=poll&since=now"))["cursor"][/\d+\z/].to_i
  end

  # Whether a flush finds that something may be missing. The next one must not find it again.
  def doubt?(publisher)
    publisher.flush
    false
  rescue Encke::Undelivered
    assert publisher.flush
    true
  end

  def test_after_a_flush_the_server_has_it_all
    serve do |_, address|
      connect do |publisher|
        assert publisher.publish("/a", "é")
        assert publisher.publish("/a", { "json" => 1 })
        assert_equal 3, publisher.publish_many("/a", ["1", "", "2\n"])
        assert_equal 2, publisher.publish_many("/a", %w[x y], event: "e", content_type: "text/x")
        assert_equal 2, publisher.publish_pairs([["/a", "\xFF".b], ["/a", "z"]])
        assert_equal 0, publisher.publish_many("/a", [])
        assert publisher.flush
        assert_equal ["é", { "json" => 1 }, "1", "", "2\n", "x", "y", "/w==", "z"], kept(address, "/a")
      end
    end
  end

  def test_a_channel_takes_what_its_publisher_does
    serve do |_, address|
      connect do |publisher|
        channel = publisher.channel("/a")
        assert channel.publish("1")
        assert publisher.publish("/a", "2")
        channel << 3 << "4"
        assert_equal 2, channel.publish_many(%w[5 6], event: "e")
        assert_raises(Encke::Invalid) { publisher.channel("a") }
        assert publisher.flush
        assert_equal ["1", "2", 3, "4", "5", "6"], kept(address, "/a")
      end
    end
  end

  def test_threads_keep_their_order
    serve do |_, address|
      connect do |publisher|
        threads = Array.new(4) { |thread| Thread.new { COUNT.times { |number| publish(publisher, "/a", "#{thread}:#{number}") } } }
        sse(address, "/a") { |io| assert_each_in_order(data(io, 4 * COUNT), 4, COUNT) }
        threads.each(&:join)
      end
    end
  end

  def test_forked_processes_keep_their_order
    serve do |_, address|
      connect do |publisher|
        publisher.publish("/parent", "before")
        children = Array.new(4) do |child|
          fork do
            (0...COUNT).each_slice(100) do |numbers|
              next publish_many(publisher, "/a", numbers.map { |number| "#{child}:#{number}" }) if numbers.first % 500 == 0

              numbers.each { |number| publish(publisher, "/a", "#{child}:#{number}") }
            end
            publisher.close
            exit!(0)
          end
        end
        sse(address, "/a") { |io| assert_each_in_order(data(io, 4 * COUNT), 4, COUNT) }
        assert_equal([true] * 4, children.map { |child| Process.wait2(child).last.success? })
        publisher.publish("/parent", "after")
        publisher.flush
        assert_equal 4 * COUNT, count(address, "/a")
        assert_equal %w[before after], kept(address, "/parent")
      end
    end
  end

  def test_a_server_that_comes_back_gets_what_waited
    connection = nil
    serve do |pid, _|
      connection = connect
      connection.publish("/a", "to the first")
      connection.flush
      kill(pid)
      Process.detach(pid)
    end
    Array.new(10) { |number| connection.publish("/a", number.to_s) }
    serve do |_, address|
      assert connection.flush
      assert_equal Array.new(10, &:to_s), kept(address, "/a")
      connection.close
    end
  end

  def test_a_broken_connection_leaves_doubt_and_says_so
    connection = nil
    serve do |pid, _|
      connection = connect
      connection.publish("/a", "confirmed")
      connection.flush
      stand_still(pid)
      3.times { connection.publish("/a", "doubtful") }
      kill(pid)
    end
    serve do |_, address|
      connection.publish("/a", "later")
      doubt = doubt?(connection)
      # Libencke sends in a thread of its own: it may not have begun before the break, and then it has lost nothing.
      assert doubt if self.class::VIA == :socket
      messages = kept(address, "/a")
      assert_equal "later", messages.pop
      assert doubt || messages.size == 3
      assert_operator messages.size, :<=, 3
      connection.close
    end
  end

  def test_a_server_that_does_not_read_is_full_and_nothing_is_lost
    serve do |pid, address|
      connect do |publisher|
        stand_still(pid)
        taken = 0
        data = "x" * 10_000
        begin
          loop { taken += 1 if publisher.publish("/a", "#{taken} #{data}") }
        rescue Encke::Full
          assert_operator taken, :>, 10
        end
        assert_raises(Encke::TimedOut) { publisher.flush(0.05) }
        kill(pid, "CONT")
        # With nothing more said, what waits is sent.
        numbers = sse(address, "/a") { |io| Array.new(taken) { line(io, /\Adata: (\d+) /).to_i } }
        assert_equal (0...taken).to_a, numbers
        assert publisher.flush
      end
    end
  end

  # Timeout raises in another thread's midst, wherever that stands.
  def test_a_thread_that_is_interrupted_leaves_no_torn_frame
    halt = Class.new(StandardError)
    serve do |_, address|
      connect do |publisher|
        taken = 0
        thread = Thread.handle_interrupt(halt => :never) do
          Thread.new do
            until taken == 5_000
              begin
                Thread.handle_interrupt(halt => :immediate) { publisher.publish("/a", "#{taken += 1} #{"x" * 1000}") }
              rescue halt, Encke::Full
                next
              end
            end
          end
        end
        Thread.pass while thread.alive? && (thread.raise(halt) || true)
        thread.join
        publisher.publish("/a", "last")
        assert publisher.flush
        messages = long_poll(address, "/a", count(address, "/a"))
        assert_equal "last", messages.pop
        numbers = messages.map { |message| message[/\A(\d+) x{1000}\z/, 1].to_i }
        assert_equal numbers.uniq.sort, numbers
        refute_includes numbers, 0
      end
    end
  end

  def test_a_refusal_is_reported
    serve(channels_max: 1, reactors: 1) do |_, address|
      connect do |publisher|
        publisher.publish("/a", "1")
        publisher.flush
        publisher.publish_many("/b", %w[1 2])
        assert_match(/2/, assert_raises(Encke::Undelivered) { publisher.flush }.message)
        assert publisher.flush
        assert_equal ["1"], kept(address, "/a")
      end
    end
  end

  def test_wrong_use_raises
    assert_raises(Encke::SystemFailure) { connect }
    assert_raises(Encke::SystemFailure) { Encke::Publisher.connect("unix:/#{"x" * 200}", via: self.class::VIA) }
    ["http://127.0.0.1", "unix:", "/run/encke.sock"].each do |address|
      assert_raises(Encke::Invalid, address) { Encke::Publisher.connect(address, via: self.class::VIA) }
    end
    serve do
      publisher = connect
      assert_raises(Encke::Invalid) { publisher.publish("a", "x") }
      assert_raises(Encke::Invalid) { publisher.publish("/\xFF", "x") }
      assert_raises(Encke::Invalid) { publisher.publish("/a", "x", event: "\n") }
      assert_raises(TypeError) { publisher.publish(:a, "x") }
      assert_nil publisher.close
      assert_nil publisher.close
      assert_raises(Encke::Closed) { publisher.publish("/a", "x") }
      assert_raises(Encke::Closed) { publisher.publish_many("/a", ["x"]) }
      assert_raises(Encke::Closed) { publisher.flush }
    end
  end

  def test_a_script_that_ends_leaves_nothing_behind
    serve do |_, address|
      script = <<~RUBY
        require "encke"
        publisher = Encke::Publisher.connect("unix:#{@socket}", via: :#{self.class::VIA})
        1000.times { |number| publisher.publish("/a", number.to_s) }
        #{"publisher.close" if self.class::VIA == :native}
      RUBY
      assert system(*RUBY, "-e", script)
      assert_equal Array.new(1000, &:to_s), kept(address, "/a")
    end
  end

  def test_a_server_in_the_parent_takes_what_its_children_publish
    Encke::Server.new(listen: "127.0.0.1:0", control: @socket) do |server|
      connect do |publisher|
        assert_equal true, in_child { publisher.publish("/a", "over the publisher") && publisher.flush }
        assert_equal true, in_child { server.publish("/a", "over the handle") && server.flush }
        assert_equal ["over the publisher", "over the handle"], kept(server.address, "/a")
      end
    end
  end
end

class PublisherOverLibraryTest < Minitest::Test
  VIA = :native
  include PublisherTests
end

class PublisherOverSocketTest < Minitest::Test
  VIA = :socket
  include PublisherTests

  # An exception from elsewhere comes just when a part of a message is written and not yet noted: it has to wait.
  def test_an_interruption_waits_until_the_state_is_whole
    halt = Class.new(StandardError)
    big = "x" * 900_000
    serve do |pid, address|
      connect do |publisher|
        stand_still(pid)
        outbox = publisher.instance_variable_get(:@outbox)
        outbox.define_singleton_method(:put) do |*arguments|
          Thread.current.raise(halt)
          super(*arguments)
        end
        assert_raises(halt) { publisher.publish("/a", big) }
        outbox.singleton_class.remove_method(:put)
        kill(pid, "CONT")
        publisher.publish("/a", "next")
        assert publisher.flush
        assert_equal [big, "next"], long_poll(address, "/a", 2)
      end
    end
  end

  def test_a_process_ends_though_the_server_reads_nothing
    serve do |pid|
      script = <<~RUBY
        require "encke"
        publisher = Encke::Publisher.connect("unix:#{@socket}", via: :socket)
        begin
          loop { publisher.publish("/a", "x" * 10_000) }
        rescue Encke::Full
          # What waits is for the end of the process.
        end
      RUBY
      stand_still(pid)
      warning = IO.popen([*RUBY, "-e", script, err: %i[child out]], &:read)
      assert_match(/no answer/, warning)
    end
  end

  # Nobody answers: the publisher must not wait for ever.
  def test_a_stranger_on_the_socket_is_no_server
    stranger = UNIXServer.new(@socket)
    publisher = connect
    publisher.publish("/a", "x")
    assert_raises(Encke::TimedOut) { publisher.flush(0.05) }
    stranger.close
  end

  def test_it_needs_no_library
    serve do |_, address|
      script = <<~RUBY
        require "encke"
        publisher = Encke::Publisher.connect("unix:#{@socket}")
        publisher.publish("/a", publisher.class.name)
        publisher.close
      RUBY
      assert system({ "ENCKE_LIBRARY" => nil }, *RUBY, "-e", script)
      assert_equal ["Encke::SocketPublisher"], kept(address, "/a")
    end
  end
end
