# frozen_string_literal: true

require "support"

# The scripts that the documentation shows.
class ExamplesTest < Minitest::Test
  include Support

  def example(name, environment = {}, &block)
    program(environment, *RUBY, File.join(ROOT, "examples", name), err: %i[child out], &block)
  end

  def test_ten_lines_serve_a_hundred_thousand_messages
    assert_operator File.readlines(File.join(ROOT, "examples/numbers.rb")).size, :<=, 10
    BACKENDS.each do |backend|
      example("numbers.rb", { "ENCKE_BACKEND" => backend.to_s }) do |script|
        address = line(script, /\A([\d.]+:\d+)$/)
        all = Array.new(100_000, &:to_s)
        sse(address, "/numbers") { |io| assert_equal all, data(io, all.size) }
        assert_equal all, long_poll(address, "/numbers", all.size)
      end
    end
  end

  def test_the_judge_lets_in_whom_it_knows
    example("judge.rb", { "LISTEN" => "127.0.0.1:0" }) do |script|
      address = line(script, %r{\Ahttp://(.*)$})
      sse(address, "/private/ann", "&user=ann") { |io| assert_match(/\A\{"welcome":\d+\}\z/, data(io, 1).first) }
      assert_equal 403, request("http://#{address}/sub/private/ann?user=bob&transport=poll").first
      assert_equal 202, request("http://#{address}/pub/host/questions", "-d", "why?").first
      sse(address, "/questions") { |io| assert_equal ["why?"], data(io, 1) }
    end
  end
end
