# frozen_string_literal: true

require "support"
require "net/http"

# The example under Puma: the master hosts the server, its workers publish.
class PumaTest < Minitest::Test
  include Support

  VIAS = %i[native socket].freeze

  # Yields Puma's address, Encke's address and the process of the master.
  def puma(environment = {})
    Dir.mktmpdir do |folder|
      environment = { "BIND" => "tcp://127.0.0.1:0", "ENCKE_LISTEN" => "127.0.0.1:0", "ENCKE_CONTROL" => "#{folder}/encke.sock",
                      "RUBYLIB" => File.join(ROOT, "lib") }.merge(environment)
      program(environment, "puma", "-C", "puma.rb", chdir: File.join(ROOT, "examples/puma"), err: %i[child out]) do |io|
        listens = line(io, %r{Listening on http://(\S+)})
        encke = line(io, %r{Encke on http://(\S+)})
        2.times { line(io, /Worker (\d) .*booted/) }
        drain = Thread.new { IO.copy_stream(io, File::NULL) }
        yield listens, encke, io.pid
      ensure
        drain&.kill&.join
      end
    end
  end

  # Publishes over HTTP; the worker that did it, or nil if there was no answer, or none that was whole.
  def post(address, body)
    Net::HTTP.start(*address.split(":"), read_timeout: SECONDS) do |http|
      response = http.post("/", body, "Content-Type" => "text/plain")
      JSON.parse(response.body)["worker"] if response.code == "200"
    end
  rescue SystemCallError, EOFError, Net::HTTPBadResponse, JSON::ParserError
    nil
  end

  VIAS.each do |via|
    define_method("test_each_worker_publishes_by_#{via}") do
      puma("ENCKE_VIA" => via.to_s) do |puma, encke, master|
        workers = {}
        sent = 0
        eventually { workers[post(puma, (sent += 1).to_s)] = true; workers.size == 2 }
        refute_includes workers, master
        refute_includes workers, nil
        sse(encke, "/chat") { |io| assert_equal (1..sent).map(&:to_s), data(io, sent) }
      end
    end

    define_method("test_workers_are_killed_and_nothing_hangs_or_doubles_by_#{via}") { kill_workers(via) }
  end

  def test_a_browser_shows_what_is_published
    puma do |puma, _, _|
      post(puma, "hello from Puma")
      assert system("node", "tests/client/example.mjs", "http://#{puma}/", "hello from Puma", chdir: File.join(ROOT, "../.."))
    end
  end

  # A message that was answered for is there, once. One whose worker was killed under way is there once or not at all.
  def kill_workers(via)
    puma("ENCKE_VIA" => via.to_s) do |puma, encke, _|
      answered = Queue.new
      killed = []
      clients = Array.new(4) do |client|
        Thread.new do
          200.times do |number|
            worker = post(puma, "#{client}:#{number}")
            answered << [worker, "#{client}:#{number}"] if worker
          end
        end
      end
      collected = []
      eventually do
        worker, message = answered.pop
        collected << message
        if killed.size < 3 && collected.size > 50 * (killed.size + 1) && !killed.include?(worker)
          Process.kill("KILL", worker)
          killed << worker
        end
        killed.size == 3
      end
      clients.each(&:join)
      collected << answered.pop.last until answered.empty?
      # A worker that took the place of one publishes too.
      fresh = eventually { (worker = post(puma, "last")) && !killed.include?(worker) && worker }
      assert fresh

      post(puma, "end") until (messages = kept(encke)).include?("end")
      messages -= %w[last end]
      assert_equal messages.uniq, messages
      assert_empty collected - messages
    end
  end

  def kept(address)
    JSON.parse(get(address, "/chat", "transport=poll&since=earliest"))["messages"].map { |message| message["data"] }
  end
end
