//! The specification and the tests name the same rules.

const SPECIFICATION: &str = include_str!("../../docs/authority.md");
const TESTS: [&str; 7] = [
    include_str!("scenarios.rs"),
    include_str!("scenarios_acts.rs"),
    include_str!("scenarios_council.rs"),
    include_str!("scenarios_cuts.rs"),
    include_str!("scenarios_forks.rs"),
    include_str!("laws.rs"),
    include_str!("laws_oracle.rs"),
];

#[test]
fn every_rule_is_specified_and_tested() {
    let rules = (1..=11).map(|number| format!("A{number}"));
    for rule in rules.chain(["L3", "C5", "I2"].map(str::to_owned)) {
        assert!(SPECIFICATION.contains(&format!("**{rule}** ")), "{rule} is not specified");
        let test = format!("fn {}_", rule.to_lowercase());
        assert!(TESTS.iter().any(|source| source.contains(&test)), "{rule} has no test");
    }
}
