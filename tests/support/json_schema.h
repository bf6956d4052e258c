#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace tapegrad::test {

using Json = nlohmann::json;

/// As much of JSON Schema as the schemas of this project use; a word that is not among it is a violation.
class Schema {
 public:
  explicit Schema(const Json& root) : root_(root) {}

  /// Every way in which the value is not what the schema says.
  std::vector<std::string> violations(const Json& value) const {
    std::vector<std::string> all;
    check(value, root_, "", all);
    return all;
  }

 private:
  static bool is(const std::string& type, const Json& v) {
    return type == "object"    ? v.is_object()
           : type == "array"   ? v.is_array()
           : type == "string"  ? v.is_string()
           : type == "boolean" ? v.is_boolean()
           : type == "integer" ? v.is_number_integer()
           : type == "number"  ? v.is_number()
                               : type == "null" && v.is_null();
  }

  void check(const Json& v, const Json& schema, const std::string& at,
             std::vector<std::string>& violations) const {
    const auto violation = [&](const std::string& what) { violations.push_back(at + ": " + what); };
    for (const auto& [key, rule] : schema.items()) {
      if (key == "$ref") {
        check(v, root_.at(Json::json_pointer(rule.get<std::string>().substr(1))), at, violations);
      } else if (key == "type") {
        const Json types = rule.is_array() ? rule : Json::array({rule});
        if (std::ranges::none_of(types, [&](const Json& t) { return is(t.get<std::string>(), v); }))
          violation(v.dump() + " is no " + rule.dump());
      } else if (key == "const") {
        if (v != rule) violation(v.dump() + " is not " + rule.dump());
      } else if (key == "enum") {
        if (std::ranges::find(rule, v) == rule.end()) violation(v.dump() + " is not one of " + rule.dump());
      } else if (key == "minimum") {
        if (v.is_number() && v < rule) violation(v.dump() + " is below " + rule.dump());
      } else if (key == "required") {
        for (const Json& name : rule)
          if (!v.contains(name.get<std::string>())) violation("there is no " + name.dump());
      } else if (key == "properties") {
        for (const auto& [name, sub] : rule.items())
          if (v.contains(name)) check(v[name], sub, at + '/' + name, violations);
      } else if (key == "additionalProperties") {
        for (const auto& [name, unused] : v.items())
          if (!schema["properties"].contains(name)) violation(name + " is not in the schema");
      } else if (key == "items") {
        for (std::size_t i = 0; i < v.size(); ++i)
          check(v[i], rule, at + '/' + std::to_string(i), violations);
      } else if (key == "anyOf") {
        const bool any = std::ranges::any_of(rule, [&](const Json& sub) {
          std::vector<std::string> its;
          check(v, sub, at, its);
          return its.empty();
        });
        if (!any) violation("fits none of the alternatives");
      } else {
        static const std::set<std::string> kWords{"$schema", "$defs", "title", "description"};
        if (!kWords.contains(key)) violation("this test does not know '" + key + "'");
      }
    }
  }

  const Json& root_;
};

}  // namespace tapegrad::test
