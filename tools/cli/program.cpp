#include "program.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <initializer_list>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include <tapegrad/graph/errors.h>
#include <tapegrad/ops/threads.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "arguments.h"

namespace tapegrad::cli {

namespace {

constexpr std::string_view kStandardOutput = "/dev/stdout";
constexpr const char* kEmpty = "it is empty, as where a shell's variable has no value";

CLI::Validator number(std::string range, bool (*holds)(double, double), double bound) {
  const auto check = [=](std::string& text) -> std::string {
    double value = 0;
    if (!CLI::detail::lexical_cast(text, value)) return fmt::format("'{}' is no number", text);
    return holds(value, bound) && std::isfinite(value) ? "" : fmt::format("{}: it must be {}", text, range);
  };
  return CLI::Validator(check, range);
}

/// Whether mpirun (of OpenMPI, or by PMI another one's) has started this process as another rank than the first.
bool is_other_rank() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (const char* const rank = std::getenv(name)) return std::string_view(rank) != "0";
  return false;
}

/// What its errors begin with: the command's name, also where one of its commands is a program of its own.
std::string program_name(const CLI::App& app) { return app.get_name().substr(0, app.get_name().find(' ')); }

}  // namespace

CLI::Validator at_least(double least) {
  return number(
      fmt::format("at least {}", least), [](double value, double bound) { return value >= bound; }, least);
}

CLI::Validator above(double bound) {
  return number(
      fmt::format("above {}", bound), [](double value, double limit) { return value > limit; }, bound);
}

CLI::Validator whole(std::int64_t least, std::int64_t most) {
  const std::string range =
      most == kMostWhole ? fmt::format("at least {}", least) : fmt::format("from {} to {}", least, most);
  const auto check = [=](std::string& text) -> std::string {
    std::int64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    // CLI11 would take a 0 in front for an octal number, and what is too large for the largest.
    if (text != fmt::format("{}", value))
      return fmt::format("'{}' is no whole number that can be counted, as 10 is", text);
    return value >= least && value <= most ? "" : fmt::format("{}: it must be {}", text, range);
  };
  return CLI::Validator(check, range);
}

CLI::Validator number_of_threads() { return whole(1, kMostThreads); }

CLI::Validator not_empty() {
  return CLI::Validator([](std::string& text) -> std::string { return text.empty() ? kEmpty : ""; }, "");
}

CLI::Validator folder_to_write() {
  return CLI::Validator(
      [](std::string& path) -> std::string {
        if (path.empty()) return kEmpty;
        return path == "-" ? "it is a folder of several files; give its name" : "";
      },
      "");
}

CLI::Validator file_to_write() {
  return CLI::Validator(
      [](std::string& path) -> std::string {
        if (path.empty()) return kEmpty;
        if (path == "-") path = kStandardOutput;
        return "";
      },
      "FILE");
}

void require_other_file(const char* option, const std::string& written,
                        std::initializer_list<std::string> read) {
  for (const std::string& path : read) {
    std::error_code no_such_file;
    if (std::filesystem::equivalent(written, path, no_such_file))
      throw ArgumentError(
          fmt::format("{}: '{}' is read, and would be lost; name another file", option, written));
  }
}

std::string extension_of(const std::string& path) {
  std::string extension = std::filesystem::path(path).extension();
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension;
}

void require_extension(const char* option, const std::string& written,
                       std::initializer_list<std::string_view> extensions, const char* what) {
  const bool fits = std::ranges::find(extensions, extension_of(written)) != extensions.end();
  if (fits || beside(written) != stdout) return;
  std::error_code error;
  const auto type = std::filesystem::status(written, error).type();
  // What else there may be, a pipe or a folder, cannot be replaced.
  if (type != std::filesystem::file_type::not_found && type != std::filesystem::file_type::regular) return;
  throw ArgumentError(
      fmt::format("{} {}: {}; give it a name that ends in {}", option, written, what, *extensions.begin()));
}

std::FILE* beside(const std::string& path) { return path == kStandardOutput ? stderr : stdout; }

std::string written_name(const std::string& path) {
  return path == kStandardOutput ? "the standard output" : path;
}

std::string printable(std::string_view message) {
  std::string text;
  for (const char c : message) {
    const auto code = static_cast<unsigned char>(c);
    if ((code < 0x20 && c != '\n' && c != '\t') || code == 0x7f)
      text += fmt::format("\\x{:02x}", code);
    else
      text += c;
  }
  return text;
}

int usage_error(const CLI::App& app, std::string message) {
  // What all ranks are told the first says, and mpirun then ends the others before they do. What is wrong with one
  // alone, or with a command that is no rank of a training, comes late.
  if (is_other_rank()) std::this_thread::sleep_for(std::chrono::seconds(2));
  message = printable(message);
  for (char& c : message)
    if (c == '\n') c = ' ';
  std::string command;  // down to the subcommand that was asked for
  for (const CLI::App* a = &app; a; a = a->get_subcommands().empty() ? nullptr : a->get_subcommands().front())
    command += (command.empty() ? "" : " ") + a->get_name();
  fmt::print(stderr, "{}: {}; see {} --help\n", program_name(app), message, command);
  return 2;
}

/// In the order in which they were given; CLI11 turns it round.
static std::string unexpected(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining(true);
  return fmt::format("{} not expected: {}", words.size() == 1 ? "this argument was" : "these arguments were",
                     fmt::join(words, " "));
}

/// What the parser does not tell: an empty value in a list, as of a shell's variable that has none, is none for it.
static void require_full_lists(const CLI::App& command, std::span<char* const> words) {
  std::string list;  // the option to which the words belong
  for (std::string_view values : words) {
    if (values.starts_with("--")) {
      list = values.substr(0, values.find('='));
      values.remove_prefix(std::min(values.size(), list.size() + 1));
      const CLI::Option* const option = command.get_option_no_throw(list);
      if (!option || option->get_delimiter() == '\0') list.clear();
    }
    if (list.empty() || values.empty()) continue;
    if (values.front() == ',' || values.back() == ',' || values.find(",,") != std::string_view::npos)
      throw ArgumentError(fmt::format("{} {}: one of the values between the commas is empty", list, values));
  }
}

int run_program(CLI::App& app, int argc, char** argv, const int& exit_code) {
  remember_arguments(argc, argv);
  try {
    const std::span<char* const> words(argv, static_cast<std::size_t>(argc));
    for (CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; }))
      command->preparse_callback([=](std::size_t) { require_full_lists(*command, words); });
    require_full_lists(app, words);
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {
    return app.exit(e);  // --help or --version
  } catch (const CLI::RequiredError& e) {
    // What cannot be understood may be what is missing, misspelt.
    return usage_error(app, app.remaining(true).empty() ? e.what() : unexpected(app));
  } catch (const CLI::ExtrasError&) {
    return usage_error(app, unexpected(app));
  } catch (const CLI::ParseError& e) {
    return usage_error(app, e.what());
  } catch (const ArgumentError& e) {
    return usage_error(app, e.what());
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: there is not enough memory\n", program_name(app));
    return 1;
  } catch (const std::exception& e) {
    fmt::print(stderr, "{}: {}\n", program_name(app), printable(e.what()));
    return 1;
  }
  return exit_code;
}

}  // namespace tapegrad::cli
