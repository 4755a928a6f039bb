# frozen_string_literal: true

require "support"

# Finding libencke, and refusing what is not the one that the gem needs.
class NativeTest < Minitest::Test
  include Support

  def teardown
    FileUtils.rm_rf(@folder) if @folder
  end

  # Builds a library that has all names of libencke and does nothing but tell its versions.
  def imitation(abi:, version:)
    @folder = Dir.mktmpdir
    # One is called from C alone.
    stubs = (Encke::Native::SIGNATURES.keys + %i[publish_many] - %i[abi_version version]).map { |name| "int encke_#{name}(void) { return 0; }" }
    File.write("#{@folder}/imitation.c", <<~C)
      int encke_abi_version(void) { return #{abi}; }
      const char *encke_version(void) { return "#{version}"; }
      #{stubs.join("\n")}
    C
    assert system("cc", "-shared", "-fPIC", "-o", "#{@folder}/imitation.so", "#{@folder}/imitation.c")
    "#{@folder}/imitation.so"
  end

  def refusal(path)
    BACKENDS.map { |backend| assert_raises(Encke::NoLibrary) { Encke::Native.load(path, backend: backend) }.message }.uniq
  end

  def test_another_abi_is_refused
    assert_match(/speaks ABI 2, this gem ABI 1/, refusal(imitation(abi: 2, version: "9.0.0")).join)
  end

  def test_an_older_version_is_refused
    assert_match(/is version 0\.0\.9, this gem needs #{Encke::VERSION}/, refusal(imitation(abi: 1, version: "0.0.9")).join)
  end

  def test_a_newer_version_is_taken
    path = imitation(abi: 1, version: "0.99.0")
    BACKENDS.each { |backend| assert Encke::Native.load(path, backend: backend) }
  end

  def test_what_is_no_library_is_refused
    refusal("/nowhere/libencke.so").each { |message| assert_match(%r{\A/nowhere/libencke.so cannot be loaded}, message) }
    refusal(__FILE__).each { |message| assert_match(/cannot be loaded/, message) }
  end

  def test_an_unknown_backend_is_refused
    assert_raises(ArgumentError) { Encke::Native.load(backend: :jni) }
  end

  def test_the_library_is_found_by_name_and_by_argument
    path = ENV.fetch("ENCKE_LIBRARY")
    assert_equal path, Encke::Native.find
    script = 'require "encke"; Encke::Server.new(listen: "127.0.0.1:0", library: ARGV.first) { |server| print server.publish("/a", "x") }'
    run = ->(environment, *arguments) { IO.popen([environment, *RUBY, "-e", script, *arguments, err: File::NULL], &:read) }
    assert_equal "true", run.call({ "ENCKE_LIBRARY" => nil }, path)
    assert_equal "true", run.call({ "ENCKE_LIBRARY" => path })
    assert_equal "true", run.call({ "ENCKE_LIBRARY" => path, "ENCKE_BACKEND" => "fiddle" })
    assert_equal "", run.call({ "ENCKE_LIBRARY" => "/nowhere" })
  end

  # Through each backend that is asked for, and the best one that there is.
  def test_it_goes_through_what_there_is
    script = 'require "encke"; print Encke::Native.load.class, Encke::Server.new(listen: "127.0.0.1:0") { |server| server.channel("/a").publish("x") }'
    lib = ["-I", File.join(ROOT, "lib")]
    run = ->(*flags, backend) { IO.popen([{ "ENCKE_BACKEND" => backend }, RbConfig.ruby, *flags, "-e", script], &:read) }
    assert_equal "Encke::Native::Extensiontrue", run.call(*RUBY.drop(1), nil)
    assert_equal "Encke::Native::Extensiontrue", run.call(*RUBY.drop(1), "extension")
    assert_equal "Encke::Native::Fiddletrue", run.call(*RUBY.drop(1), "fiddle")
    # Where the calls in C could not be built.
    assert_equal "Moduletrue", run.call(*lib, nil)
  end

  def rake(**environment)
    folder = Dir.mktmpdir
    File.chmod(0o755, folder)
    command = ["rake", "-f", File.join(ROOT, "ext/encke/Rakefile"), "RUBYARCHDIR=#{folder}"]
    said = IO.popen([environment.transform_keys(&:to_s), *command, err: %i[child out]], &:read)
    assert_predicate $?, :success?, said
    [said, Dir["#{folder}/**/*.so"]]
  ensure
    FileUtils.rm_rf(folder)
  end

  def test_the_calls_in_c_are_built_where_that_is_possible_and_else_that_is_said
    said, built = rake
    assert_equal 1, built.size, said
    said, built = rake(MAKE: "/nowhere/make")
    assert_empty built
    assert_match(/no calls in C, so it goes through ffi or Fiddle/, said)
  end

  def test_calls_in_c_refuse_what_is_no_text_and_what_was_not_opened
    library = Encke::Native.load(backend: :extension)
    assert_raises(TypeError) { library.publish(16, :a, 2, "x", 1) }
    assert_raises(TypeError) { library.publish(16, "/a", 2, 7, 1) }
    assert_raises(TypeError) { library.channel_publish(16, nil, 1) }
    assert_raises(TypeError) { library.channel_publish("x", "x", 1) }
    assert_raises(TypeError) { library.publish_texts(16, "/a", "x") }
    assert_nil library.publish_texts(16, "/a", ["x", 1])
    # Lengths are the strings' own.
    assert_equal(-22, library.publish(3, "/a", 1 << 40, "x", 1 << 40))
    assert_raises(RuntimeError) { Encke::Native::Extension.allocate.channel_publish(16, "x", 1) }
    assert_raises(LoadError) { Encke::Native::Extension.new("/nowhere/libencke.so", library) }
  end

  def test_codes_are_classes
    assert_equal(-11, Encke::Full.new.code)
    assert_instance_of Encke::TimedOut, Encke::Error.from_code(-110, "late")
    unknown = Encke::Error.from_code(-4242, "new")
    assert_instance_of Encke::Error, unknown
    assert_equal(-4242, unknown.code)
  end
end
